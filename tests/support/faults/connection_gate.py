"""A gate in front of a server, for many clients: it counts the connections made while it is shut.

Each client connects to its own loopback address. By that address the gate tells clients apart, and
the server sees each client come from it. While shut, the gate resets each connection after reading
its request. A closed port would look the same to the client, but would not show which client tried.

    async with ConnectionGate(server.port, clients=200) as gate:
        ...  # talk to gate.url(client)
        gate.shut()
        gate.open()
        gate.busiest(since)
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import anyio

from tests.support.servers.uvicorn import free_port

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LAST_DATA_SENT = 44
"""The field's offset in Linux's `tcp_info`."""
_OPENS = b'{"type":"open"'
"""The beginning of the body of a poll that attaches (POL-1)."""


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """A connection that a client made.

    Attributes:
        at: when it was made, in monotonic time, however late the gate accepted it.
        segment: the last path segment of its first request: "websocket", "sse", "poll" or "send";
            empty if there was no request.
        attempt: whether it is an attempt to connect, not an extra connection of a running session.
            While the gate is shut, every connection is an attempt. While it is open, every
            connection is, unless its first request is a POST besides the session's downlink, or a
            poll that does not open: an HTTP client adds a connection when the first one is busy.
    """

    at: float
    segment: str
    attempt: bool


class ConnectionGate:
    """Listens on an address for each client, and passes data to ``upstream_port`` while open.

    Attributes:
        port: the port of all addresses.
        connections: the connections made by each client.
    """

    def __init__(self, upstream_port: int, clients: int) -> None:
        self.upstream_port = upstream_port
        self.port = free_port()
        self.connections: dict[int, list[ClientConnection]] = {
            client: [] for client in range(clients)
        }
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def url(self, client: int) -> str:
        return f"http://{_address(client)}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._take, [_address(client) for client in self.connections], self.port, backlog=1024
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.shut()
        with anyio.fail_after(30):
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._server.wait_closed()

    def shut(self) -> None:
        """Reset all open connections, and every new one."""
        self._open.clear()
        self.cut()

    def open(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Reset all open connections."""
        for writer in list(self._writers):
            _reset(writer)

    def busiest(
        self,
        since: float,
        counts: Callable[[ClientConnection], bool] = lambda _: True,
        seconds: float = 1.0,
    ) -> dict[int, int]:
        """Return how many clients had each count of connections in their busiest ``seconds``.

        Args:
            since: the start, in monotonic time.
            counts: a predicate that selects the connections to count.
            seconds: the length of a period.
        """
        clients: dict[int, int] = defaultdict(int)
        for connections in self.connections.values():
            times = [
                connection.at
                for connection in connections
                if connection.at >= since and counts(connection)
            ]
            clients[_most_within(times, seconds)] += 1
        return dict(sorted(clients.items()))

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        age = _age(writer)
        came = time.monotonic() - age
        there: asyncio.StreamWriter | None = None
        try:
            head = await _beginning(reader)
            segment = _segment(head)
            goes_on = segment == "send" or (segment == "poll" and not _opens(head))
            attempt = not (goes_on and self._open.is_set())
            address, _ = writer.get_extra_info("sockname")
            self.connections[_client(address)].append(ClientConnection(came, segment, attempt))
            if not self._open.is_set():
                return
            back, there = await asyncio.open_connection(
                "127.0.0.1", self.upstream_port, local_addr=(address, 0)
            )
            self._writers.add(there)
            if not self._open.is_set():
                return
            there.write(head)
            await asyncio.gather(_pump(reader, there), _pump(back, writer))
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            for side in (writer, there):
                if side is not None:
                    self._writers.discard(side)
                    _reset(side)


def _address(client: int) -> str:
    """Return a client's address. All of 127.0.0.0/8 is loopback."""
    return f"127.9.{client // 200}.{client % 200 + 1}"


def _client(address: str) -> int:
    _, _, high, low = map(int, address.split("."))
    return high * 200 + low - 1


async def _beginning(reader: asyncio.StreamReader) -> bytes:
    """Read the head of the first request; of a poll, also enough of the body to identify it."""
    head = b""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(len(_OPENS)) if _segment(head) == "poll" else head
    except asyncio.IncompleteReadError as error:
        return head + error.partial


def _segment(head: bytes) -> str:
    """Return the last path segment: ``send`` for ``POST /chat/send HTTP/1.1``."""
    _, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    return rest.partition(" ")[0].partition("?")[0].rpartition("/")[2]


def _opens(head: bytes) -> bool:
    return head.partition(b"\r\n\r\n")[2].startswith(_OPENS)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one side ends, then end the other."""
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    _reset(writer)


def _age(writer: asyncio.StreamWriter) -> float:
    """Return the seconds since the connection was made, measured by the kernel.

    This process may be late to accept it. Nothing was sent yet, so `tcpi_last_data_sent` counts the
    milliseconds since then.
    """
    sock: socket.socket = writer.get_extra_info("socket")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT + 4)
    milliseconds: int = struct.unpack_from("=I", info, _LAST_DATA_SENT)[0]
    return milliseconds / 1000


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    if sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


def _most_within(times: list[float], seconds: float) -> int:
    """Return the maximum number of times that fall into any period of ``seconds``."""
    ordered = sorted(times)
    most = first = 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
