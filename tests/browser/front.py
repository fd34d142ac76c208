"""A reverse proxy that treats some requests as faulty intermediaries do.

It forwards requests to the server, except WebSocket and stream requests that have a fault set.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.support.servers.uvicorn import Server

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Fault = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Handle a connection; the first argument is the head of its first request."""


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def refused(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection at once."""
    writer.transport.abort()


async def mute(_: bytes, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Keep the connection open and never answer."""
    await _drain(reader)


async def stripped(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 404, like a proxy that does not support upgrades."""
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def upgraded_and_mute(
    head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Accept the upgrade, and never answer a frame."""
    [key] = [
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await _drain(reader)


async def headers_and_mute(
    _: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send the headers of a stream at once, and its body never."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await _drain(reader)


class Front:
    """A proxy that forwards each connection, unless a fault is set for its first request.

    A browser may reuse a connection for more requests, so every answer closes its connection.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.faults: dict[str, Fault] = {}
        """Faults by the last segment of the path: `websocket`, `sse`."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # `end` cancels this task, and asyncio would log that.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        segment = head.split(b" ", 2)[1].split(b"?")[0].rsplit(b"/", 1)[1].decode()
        upgrade = b"upgrade: websocket" in head.lower()
        fault = self.faults.get(segment)
        if fault is not None and (segment != "websocket" or upgrade):
            await fault(head, reader, writer)
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        if not upgrade:
            first, rest = head.split(b"\r\n", 1)
            lines = [x for x in rest.split(b"\r\n") if not x.lower().startswith(b"connection:")]
            head = b"\r\n".join([first, b"Connection: close", *lines])
        up_writer.write(head)
        try:
            async with asyncio.TaskGroup() as tasks:
                back = tasks.create_task(self._pump(up_reader, writer))
                tasks.create_task(self._pump(reader, up_writer))
                await back
                raise ConnectionResetError
        except* OSError:
            pass
        finally:
            up_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def front(server: Server) -> AsyncIterator[tuple[Front, str]]:
    one = Front(server)
    listener = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    try:
        yield one, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await one.end()


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Open a port that drops SYNs, because its backlog is full and nothing is accepted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        with pytest.raises(OSError, match="not connected"):
            fillers[-1].getpeername()  # the backlog holds one connection
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()
