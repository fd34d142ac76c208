"""Carriers of a `FrameClient`: they reach an application in process, or a real server over TCP.

Both kinds do the same three things: a POST with its complete answer, a POST whose answer is an
event stream, and a WebSocket. A carrier knows nothing of the protocol's frames.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from starlette.types import ASGIApp

from tests.support.clients.tcp_client import (
    DEADLINE,
    TEXT,
    Answer,
    Closed,
    TcpClient,
    TcpWebSocket,
    request_bytes,
)
from transport.testing import Connection, Socket, Stream, request, scope_of, started, whole
from transport.testing.asgi import finished

IN_PROCESS_DEADLINE = 1000.0
"""Seconds in which an application must answer, by a clock that the test turns."""


class CarriedSocket(Protocol):
    """An accepted WebSocket."""

    async def put(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one frame."""

    async def get(self) -> Any:
        """Return the next frame: JSON of a text frame, bytes of a binary one, or `Closed`."""


class Carrier(Protocol):
    """A client's access to a channel. ``segment`` is the last segment of the path."""

    async def post(self, segment: str, body: bytes) -> Answer:
        """Send a POST and return its complete answer."""

    async def stream(self, segment: str, body: bytes) -> tuple[Answer, AsyncIterator[Any]]:
        """Send a POST; return the head of its answer, and the frames of its event stream.

        An answer that is not an event stream is returned complete, without frames.
        """

    async def websocket(self, segment: str) -> CarriedSocket:
        """Open a WebSocket."""

    async def close(self) -> None:
        """End all connections abruptly, without a close frame."""


class InProcess:
    """A carrier that calls an ASGI application in process.

    Args:
        app: the hub, or an application that mounts it.
        path: the path of the channel.
        headers: the headers of every request.
    """

    def __init__(
        self, app: ASGIApp, path: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.app = app
        self._path = path
        self._headers = headers
        self._connections: list[Connection] = []

    async def post(self, segment: str, body: bytes) -> Answer:
        connection = request(self.app, f"{self._path}/{segment}", body, headers=self._headers)
        try:
            answer = await whole(connection, IN_PROCESS_DEADLINE)
        finally:
            await connection.stop()
        return Answer(answer.status, answer.headers, answer.body)

    async def stream(self, segment: str, body: bytes) -> tuple[Answer, AsyncIterator[Any]]:
        connection = request(self.app, f"{self._path}/{segment}", body, headers=self._headers)
        self._connections.append(connection)
        head = await started(connection)
        if not head.headers["content-type"].startswith("text/event-stream"):
            await finished(connection, head)
        return Answer(head.status, head.headers, head.body), _events(Stream(connection, head))

    async def websocket(self, segment: str) -> CarriedSocket:
        scope = scope_of("websocket", f"{self._path}/{segment}", self._headers)
        connection = Connection(self.app, scope, [{"type": "websocket.connect"}])
        self._connections.append(connection)
        message = await connection.next()
        assert message["type"] == "websocket.accept", message
        return InProcessSocket(connection)

    async def close(self) -> None:
        for connection in reversed(self._connections):
            await connection.stop()


async def _events(stream: Stream) -> AsyncIterator[Any]:
    try:
        while True:
            yield json.loads(await stream.wire(IN_PROCESS_DEADLINE))
    except EOFError:
        return


class InProcessSocket:
    """A WebSocket of an ASGI application."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._socket = Socket(connection)

    async def put(self, payload: bytes, opcode: int = TEXT) -> None:
        self._socket.send(payload.decode() if opcode == TEXT else payload)

    def leave(self) -> None:
        """Disconnect without a close frame."""
        self._socket.leave()

    async def get(self) -> Any:
        message = await self._connection.next(IN_PROCESS_DEADLINE)
        if message["type"] == "websocket.close":
            return Closed(message["code"])
        return json.loads(message["text"]) if "text" in message else message["bytes"]


class Tcp:
    """A carrier that writes bytes to a server on loopback. POSTs share a persistent connection.

    Args:
        port: the port of the server.
        path: the path of the channel.
        deadline: seconds for each wait, or None for no limit.
    """

    def __init__(self, port: int, path: str = "/chat", deadline: float | None = DEADLINE) -> None:
        self.port = port
        self._path = path
        self._deadline = deadline
        self._posts: TcpClient | None = None
        self._connections: list[TcpClient] = []

    async def post(self, segment: str, body: bytes) -> Answer:
        posts = self._posts
        # Servers close idle connections. If this process was busy meanwhile, it has yet to notice.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if posts is None or posts.reader.at_eof():
            posts = self._posts = await TcpClient.to(self.port, self._deadline)
            self._connections.append(posts)
        await posts.write(request_bytes("POST", f"{self._path}/{segment}", body))
        answer = await posts.answer()
        if answer.headers.get("connection") == "close":
            assert await posts.until_ended() == b""
            self._posts = None
        return answer

    async def stream(self, segment: str, body: bytes) -> tuple[Answer, AsyncIterator[Any]]:
        connection = await TcpClient.to(self.port, self._deadline)
        self._connections.append(connection)
        await connection.write(request_bytes("POST", f"{self._path}/{segment}", body))
        answer = await connection.head()
        if "content-length" in answer.headers:
            await connection.read_body(answer)
        return answer, connection.events()

    async def websocket(self, segment: str) -> TcpWebSocket:
        connection = await TcpWebSocket.to(self.port, self._deadline)
        self._connections.append(connection)
        answer = await connection.handshake(f"{self._path}/{segment}")
        assert answer.status == 101, answer
        return connection

    async def close(self) -> None:
        for connection in self._connections:
            connection.abort()
