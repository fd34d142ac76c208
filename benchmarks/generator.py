"""The load generator: messages, framing, and the code that the clients of all peers share.

It must cost far less than the server that it loads. So it prepares frames in advance if the peer's
framing allows it, compares received data as bytes, and writes everything that is ready at once.
Every message is checked: a client knows which one must come next.
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

HOST = "127.0.0.1"

MASK = b"\x37\xfa\x21\x3d"
"""One masking key for all frames, for speed. It is not zero, because some servers skip that."""

RING = 1000
"""How many different messages there are. They contain their number, and are sent in a cycle."""

WAIT_TIMEOUT = 10.0
"""Timeout of every wait, in seconds; after it the run fails."""


class Mismatch(Exception):
    """A server sent something other than expected."""


class Messages:
    """The messages of a run: `RING` different texts of one size.

    Attributes:
        size: bytes of each message.
        texts: the messages.
        json: the messages as a JSON list without brackets, twice, so that every run is a slice.
        width: bytes of one message in ``json``, including its comma.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        filling = (b"the quick brown fox jumps over the lazy dog " * (size // 44 + 1))[: size - 8]
        self.texts = [b"%07d " % number + filling for number in range(RING)]
        self.json = b'"' + b'","'.join([*self.texts, *self.texts]) + b'"'
        self.width = size + 3

    def json_slice(self, first: int, count: int) -> bytes:
        """Return ``count`` messages from ``first`` on, as ``"m","m"``."""
        start = first % RING * self.width
        return self.json[start : start + count * self.width - 1]


RSV1 = 0x40
"""The bit of a compressed message."""

TAIL = b"\x00\x00\xff\xff"
"""The end of what zlib flushes, which is not sent (RFC 7692 section 7.2.1)."""


def masked_frame(payload: bytes, opcode: int = 1) -> bytes:
    """Return a WebSocket frame as clients send it (RFC 6455)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + size.to_bytes(8, "big")
    return head + MASK + apply_mask(payload, MASK)


class Client(ABC):
    """One session with a server.

    Args:
        port: port of the server.
        messages: the messages to send.
        first: index of the first message to send, and of the first one to receive.

    Attributes:
        received: number of messages received so far, all in order.
        on_messages: called with the number of messages that arrived at the same time.
    """

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        self.port = port
        self.messages = messages
        self.first = first
        self.sent = 0
        self.received = 0
        self.on_messages: Callable[[int], None] | None = None
        self._fresh = 0
        self._pending = 0
        self._in_turn = False
        self.lost: str | None = None
        self.connections: list[Connection] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @abstractmethod
    async def open(self) -> None:
        """Connect, and return when messages can be sent."""

    @abstractmethod
    def _flush(self) -> None:
        """Write the ``_pending`` messages, and any frames that the protocol requires."""

    @abstractmethod
    def close(self) -> None:
        """End the session as its protocol requires, then the connections."""

    def send(self, count: int = 1) -> None:
        """Send the next ``count`` messages, together with everything else that is ready."""
        self._pending += count
        if not self._in_turn:
            self._flush()

    async def until_received(self, count: int) -> None:
        """Wait until ``count`` messages have been received."""
        if self.received < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append((count, waiter))
            async with asyncio.timeout(WAIT_TIMEOUT):
                await waiter
        self.check()

    async def until_all_echoed(self) -> None:
        """Wait until every message sent has come back."""
        await self.until_received(self.sent + self._pending)
        if self.received != self.sent:
            raise Mismatch(f"{self.received} echoes of {self.sent} messages")

    def abandon(self) -> None:
        """Abort all connections without a close."""
        for connection in self.connections:
            connection.closed = True
            if connection.transport is not None:
                connection.transport.abort()

    def rest(self) -> None:  # noqa: B027 - optional
        """Close the connections that a session needs only for sending."""

    def check(self) -> None:
        """Raise if the connection was lost."""
        if self.lost is not None:
            raise Mismatch(f"{type(self).__name__}: {self.lost}")

    def fail(self, reason: str) -> None:
        """Record that a connection ended although this client did not close it."""
        if self.lost is None:
            self.lost = reason
            for _, waiter in self._waiting:
                if not waiter.done():
                    waiter.set_exception(Mismatch(f"{type(self).__name__}: {reason}"))

    def turn(self) -> None:
        """Answer the messages of one read, after all of them were taken."""
        fresh = self._fresh
        if fresh:
            self._fresh = 0
            self.received += fresh
            if self.on_messages is not None:
                self._in_turn = True
                self.on_messages(fresh)
                self._in_turn = False
            if self._waiting:
                self._wake()
        self._flush()

    def _wake(self) -> None:
        for entry in self._waiting[:]:
            count, waiter = entry
            if self.received >= count:
                self._waiting.remove(entry)
                if not waiter.done():
                    waiter.set_result(None)

    def take_text(self, text: bytes) -> None:
        """Check one received message, and count it."""
        expected = self.messages.texts[(self.first + self.received + self._fresh) % RING]
        if text != expected:
            raise Mismatch(f"{type(self).__name__}: got {text[:80]!r} and not {expected[:80]!r}")
        self._fresh += 1

    def take_json(self, items: bytes) -> int:
        """Check and count received messages, ``"m","m"``. Return how many there are."""
        messages = self.messages
        count = (len(items) + 1) // messages.width
        start = (self.first + self.received + self._fresh) % RING * messages.width
        # A run may continue past the end of the ring: ``json`` holds the ring twice.
        if (len(items) + 1) % messages.width or not messages.json.startswith(items, start):
            raise Mismatch(f"{type(self).__name__}: got {items[:80]!r}")
        self._fresh += count
        return count


class Connection(asyncio.Protocol):
    """A TCP connection of a client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.transport: asyncio.WriteTransport | None = None
        self.rest = b""
        self.closed = False
        client.connections.append(self)

    async def connect(self) -> None:
        """Connect to the client's server."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_TIMEOUT):
            await loop.create_connection(lambda: self, HOST, self.client.port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # uvloop's transport does not subclass asyncio's.
        self.transport = cast(asyncio.WriteTransport, transport)
        self.rest = b""

    def write(self, data: bytes) -> None:
        """Write, unless the connection has ended."""
        if self.transport is not None:
            self.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if not self.closed:
            self.dropped(error)

    def dropped(self, error: Exception | None) -> None:
        """Handle a connection that the server has ended."""
        self.client.fail(f"the server has ended a connection ({error})")

    def close(self) -> None:
        """Close the connection."""
        self.closed = True
        if self.transport is not None:
            self.transport.close()


class WebSocket(Connection):
    """Frames of RFC 6455, neither fragmented nor compressed.

    Attributes:
        on_text: called with each text message.
    """

    EXTENSIONS = ""
    """A header of the handshake, with its line end."""

    def __init__(self, client: Client, path: str, on_text: Callable[[bytes], None]) -> None:
        super().__init__(client)
        self._path = path
        self.on_text = on_text
        self._upgraded: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        await super().connect()
        self._upgraded = asyncio.get_running_loop().create_future()
        self.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {HOST}:{self.client.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{self.EXTENSIONS}\r\n".encode()
        )
        async with asyncio.timeout(WAIT_TIMEOUT):
            await self._upgraded
        self._upgraded = None

    def send(self, payload: bytes) -> None:
        """Send a text message."""
        self.write(masked_frame(payload))

    def dropped(self, error: Exception | None) -> None:
        if self._upgraded is not None and not self._upgraded.done():
            self._upgraded.set_exception(Mismatch("the server has ended a WebSocket's handshake"))
        super().dropped(error)

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
        at = 0
        if self._upgraded is not None and not self._upgraded.done():
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.rest = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self._upgraded.set_exception(Mismatch(f"no upgrade: {data[:200]!r}"))
                return
            if self.EXTENSIONS and b"permessage-deflate" not in data[:end]:
                self._upgraded.set_exception(Mismatch("the server accepts no compression"))
                return
            self._upgraded.set_result(None)
            at = end + 4
        total = len(data)
        on_text = self.on_text
        while total - at >= 2:
            size = data[at + 1]
            start = at + 2
            if size > 125:
                width = 2 if size == 126 else 8
                start += width
                if start > total:
                    break
                size = int.from_bytes(data[start - width : start], "big")
            stop = start + size
            if stop > total:
                break
            if data[at] == 0x81:
                on_text(data[start:stop])
            else:
                self._control(data[at], data[start:stop])
            at = stop
        self.rest = data[at:]
        self.client.turn()

    def _control(self, first: int, payload: bytes) -> None:
        if first == 0x89:
            self.write(masked_frame(payload, 10))
        elif first == 0x88:
            if not self.closed:
                self.client.fail(f"the server has closed a WebSocket: {payload!r}")
            self.close()
        elif first != 0x8A:
            raise Mismatch(f"a frame that begins with {first:#x}")

    def close(self) -> None:
        if not self.closed:
            self.write(masked_frame((1000).to_bytes(2, "big"), 8))
        super().close()


class DeflatedWebSocket(WebSocket):
    """The same with compression in both directions (RFC 7692), offered as Chromium offers it."""

    EXTENSIONS = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

    WINDOW = 12
    """Bits of the window of what is sent. uvicorn asks for no more."""

    def __init__(self, client: Client, path: str, on_text: Callable[[bytes], None]) -> None:
        super().__init__(client, path, on_text)
        self._deflate = zlib.compressobj(wbits=-self.WINDOW)
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    def send(self, payload: bytes) -> None:
        packed = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self.write(masked_frame(packed[: -len(TAIL)], RSV1 | 1))

    def _control(self, first: int, payload: bytes) -> None:
        if first == 0x80 | RSV1 | 1:
            self.on_text(self._inflate.decompress(payload + TAIL))
        else:
            super()._control(first, payload)


class Http(Connection):
    """A persistent HTTP connection with one request at a time.

    Args:
        on_answer: called with the body of each complete answer; in a stream, with each chunk.
        on_end: called at the end of a stream; None if answers are taken as a whole.
    """

    def __init__(
        self,
        client: Client,
        on_answer: Callable[[bytes], None],
        on_end: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(client)
        self._on_answer = on_answer
        self._on_end = on_end
        self._chunked = False
        self._body: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.busy = False

    def request(self, data: bytes) -> None:
        """Write a request, on a new connection if the server has closed the previous one."""
        self.busy = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)
        elif not self.closed:
            self._connecting = asyncio.get_running_loop().create_task(self._anew(data))

    async def _anew(self, data: bytes) -> None:
        try:
            await self.connect()
        except (OSError, TimeoutError) as error:
            self.dropped(error)
        self.write(data)

    async def until_answered(self) -> None:
        """Wait for the answer to the request in flight."""
        if self.busy:
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(WAIT_TIMEOUT):
                await self._waiter

    def drop(self) -> None:
        """Close the connection until the next request."""
        if self.transport is not None:
            self.transport.close()

    def get(self, path: str, headers: str = "") -> None:
        """Send a GET request."""
        self.request(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self.client.port}\r\n{headers}\r\n".encode()
        )

    def post(self, head: bytes, body: bytes) -> None:
        """Send a POST request; see `post_head`."""
        self.request(b"%b%d\r\n\r\n%b" % (head, len(body), body))

    def dropped(self, error: Exception | None) -> None:
        # Servers close idle connections.
        if self.busy:
            super().dropped(error)

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
            self.rest = b""
        if not self._chunked:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.rest = data
                return
            head = data[:end].lower()
            if data[9:10] != b"2":
                raise Mismatch(f"{type(self.client).__name__}: {data[:300]!r}")
            at = head.find(b"content-length: ")
            if at >= 0:
                size = int(head[at + 16 :].split(b"\r", 1)[0])
                stop = end + 4 + size
                if len(data) < stop:
                    self.rest = data
                    return
                self._answered(data[end + 4 : stop])
                return
            if data[9:12] == b"204":
                self._answered(b"")
                return
            self._chunked = True
            data = data[end + 4 :]
        self._chunks(data)

    def _answered(self, body: bytes) -> None:
        self.busy = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._on_answer(body)
        self.client.turn()

    def _chunks(self, data: bytes) -> None:
        at = 0
        while True:
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            size = int(data[at:line], 16)
            stop = line + 2 + size
            if stop + 2 > len(data):
                break
            if not size:
                self._ended()
                return
            if self._on_end is None:
                self._body.append(data[line + 2 : stop])
            else:
                self._on_answer(data[line + 2 : stop])
            at = stop + 2
        self.rest = data[at:]
        if self._on_end is not None:
            self.client.turn()

    def _ended(self) -> None:
        self._chunked = False
        if self._on_end is None:
            body = b"".join(self._body)
            self._body = []
            self._answered(body)
        else:
            self.busy = False
            self._on_end()
            self.client.turn()


def post_head(port: int, path: str, media_type: str) -> bytes:
    """Return the head of a POST, up to the value of its Content-Length."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: "
    ).encode()


class Arrival:
    """A queue of received items; an item may arrive before or after a client waits for it."""

    def __init__(self) -> None:
        self._came: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    def __call__(self, data: bytes) -> None:
        """Add an item."""
        self._came.append(data)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> bytes:
        """Return the next item, after waiting for it if necessary."""
        if not self._came:
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(WAIT_TIMEOUT):
                await self._waiter
        return self._came.pop(0)
