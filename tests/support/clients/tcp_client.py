"""TCP connections on which a test writes every byte, including what no client library would send.

Every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

DEADLINE = 30.0
"""Seconds that a test waits for anything. Generous, because machines are loaded."""

T = TypeVar("T")

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""The opcodes of RFC 6455."""


@dataclass
class Answer:
    """An HTTP response.

    Attributes:
        interim: the statuses of the interim responses before it, such as 100.
    """

    status: int
    headers: dict[str, str]
    body: bytes = b""
    interim: list[int] = field(default_factory=list)

    @property
    def frames(self) -> list[Any]:
        """The frames in the body, one on each line."""
        return [json.loads(line) for line in self.body.split(b"\n") if line]


class TcpClient:
    """A TCP connection to a port of loopback.

    Attributes:
        reader, writer: the streams.
        deadline: seconds for each wait, or None for no limit.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        deadline: float | None = DEADLINE,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.deadline = deadline

    @classmethod
    async def to(cls, port: int, deadline: float | None = DEADLINE) -> Self:
        """Connect to a port."""
        async with asyncio.timeout(deadline):
            return cls(*await asyncio.open_connection("127.0.0.1", port), deadline)

    async def _wait(self, work: Awaitable[T]) -> T:
        """Await ``work``, at most until the deadline."""
        async with asyncio.timeout(self.deadline):
            return await work

    async def write(self, data: bytes) -> None:
        """Write and drain. The server may close meanwhile, which is no error here."""
        try:
            self.writer.write(data)
            await self._wait(self.writer.drain())
        except ConnectionError:
            return

    def finish(self) -> None:
        """Close the writing half, and keep reading."""
        self.writer.write_eof()

    async def head(self) -> Answer:
        """Read the head of the next response."""
        interim: list[int] = []
        while True:
            text = (await self._wait(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
            first, *others = text.split("\r\n")
            status = int(first.split(" ")[1])
            if status == 100:
                interim.append(status)
                continue
            pairs = (line.partition(":") for line in others if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            return Answer(status, headers, interim=interim)

    async def answer(self, method: str = "POST") -> Answer:
        """Read the next response, to a request with this method."""
        answer = await self.head()
        if method != "HEAD" and answer.status not in (204, 304):
            await self.read_body(answer)
        return answer

    async def read_body(self, answer: Answer) -> None:
        """Read the body of a response whose head was read."""
        length = int(answer.headers["content-length"])
        answer.body = await self._wait(self.reader.readexactly(length))

    async def until_ended(self) -> bytes:
        """Wait until the server has closed, and return what it wrote before."""
        try:
            return await self._wait(self.reader.read())
        except ConnectionError:
            return b""

    def abort(self) -> None:
        """Disconnect abruptly."""
        self.writer.transport.abort()

    async def events(self) -> AsyncIterator[Any]:
        """Yield the frames of the event stream whose head was read."""
        rest = b""
        while size := int(await self._wait(self.reader.readuntil(b"\r\n")), 16):
            rest += (await self._wait(self.reader.readexactly(size + 2)))[:-2]
            *events, rest = rest.split(b"\n\n")
            for event in events:
                assert event.startswith(b"data: "), event
                yield json.loads(event[6:])


def request_bytes(
    method: str,
    target: str,
    body: bytes = b"",
    *,
    headers: dict[str, str] | None = None,
    extra: tuple[tuple[str, str], ...] = (),
    version: str = "1.1",
) -> bytes:
    """Return the bytes of a request.

    Args:
        headers: headers that replace or extend the default ones; an empty value removes a header.
        extra: further headers, which may repeat others.
    """
    made = {"host": "127.0.0.1", "content-type": "application/x-ndjson"}
    if body or method == "POST":
        made["content-length"] = str(len(body))
    made |= headers or {}
    pairs = [*((name, value) for name, value in made.items() if value), *extra]
    head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"{method} {target} HTTP/{version}\r\n{head}\r\n".encode("latin-1") + body


def frame_bytes(
    opcode: int, payload: bytes, *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """Return a WebSocket frame, which RFC 6455 need not allow."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    mask = 0x80 if masked else 0
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, mask | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, length)
    else:
        head = struct.pack("!BBQ", first, mask | 127, length)
    # A mask of zeros is valid and leaves the payload unchanged.
    return head + (bytes(4) if masked else b"") + payload


@dataclass(frozen=True)
class Closed:
    """The server has closed a WebSocket. The code is None if it sent no close frame."""

    code: int | None


class TcpWebSocket(TcpClient):
    """A WebSocket whose frames the test writes."""

    async def handshake(self, target: str, **headers: str) -> Answer:
        """Request the upgrade; return the response, which is a 101 or a complete refusal."""
        key = base64.b64encode(os.urandom(16)).decode()
        asked = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": key,
            "content-type": "",
        }
        await self.write(request_bytes("GET", target, headers=asked | headers))
        answer = await self.head()
        if answer.status != 101 and "content-length" in answer.headers:
            await self.read_body(answer)
        elif answer.headers.get("transfer-encoding") == "chunked":
            raw = await self.until_ended()
            answer.body = raw.partition(b"\r\n")[2].partition(b"\r\n")[0]
        return answer

    async def put(self, payload: bytes, opcode: int = TEXT, **options: Any) -> None:
        """Send one frame; the options are those of `frame_bytes`."""
        await self.write(frame_bytes(opcode, payload, **options))

    async def get(self) -> Any:
        """Return the next frame: JSON of a text frame, bytes of a binary one, or `Closed`."""
        try:
            return await self._wait(self._get())
        except (asyncio.IncompleteReadError, ConnectionError):
            return Closed(None)

    async def close_code(self) -> int | None:
        """Return the close code, and ignore the frames before it, which may be compressed."""
        try:
            while True:
                opcode, payload = await self._wait(self._frame())
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big") if payload else None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _get(self) -> Any:
        while True:
            opcode, payload = await self._frame()
            match opcode:
                case 1:
                    return json.loads(payload)
                case 2:
                    return payload
                case 8:
                    await self.put(payload, CLOSE)  # otherwise servers wait for it
                    return Closed(int.from_bytes(payload[:2], "big") if payload else None)
                case 9:  # otherwise servers detect a dead connection after 40 s
                    await self.put(payload, PONG)
                case _:
                    continue

    async def _frame(self) -> tuple[int, bytes]:
        first, length = await self.reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 0x0F, await self.reader.readexactly(length)


@asynccontextmanager
async def tcp_client(port: int) -> AsyncIterator[TcpClient]:
    """Open a connection while the block runs."""
    wire = await TcpClient.to(port)
    try:
        yield wire
    finally:
        wire.abort()


@asynccontextmanager
async def tcp_clients(port: int, count: int) -> AsyncIterator[list[TcpClient]]:
    """Open many connections while the block runs."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(tcp_client(port)) for _ in range(count)]


@asynccontextmanager
async def tcp_websocket(
    port: int, target: str | None = None, **headers: str
) -> AsyncIterator[TcpWebSocket]:
    """Open a WebSocket to ``target`` while the block runs; without a target, skip the handshake."""
    socket = await TcpWebSocket.to(port)
    try:
        if target is not None:
            answer = await socket.handshake(target, **headers)
            assert answer.status == 101, answer
        yield socket
    finally:
        socket.abort()
