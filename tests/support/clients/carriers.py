"""What carries the bytes of a `FrameClient`: an application in process, or TCP to a real server.

Both do the same three things: a POST with its whole answer, a POST whose answer is an event stream,
and a WebSocket. A carrier knows no frames of the protocol.
"""

from __future__ import annotations

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
"""Seconds after which an application has failed to answer, of a clock that the test turns."""


class CarriedSocket(Protocol):
    """A WebSocket that was accepted."""

    async def put(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one frame."""

    async def get(self) -> Any:
        """Return the next frame: JSON of a text frame, the bytes of a binary one, or `Closed`."""


class Carrier(Protocol):
    """One client's way to a channel. The segment is the last one of the path."""

    async def post(self, segment: str, body: bytes) -> Answer:
        """Send a POST and return its whole answer."""

    async def stream(self, segment: str, body: bytes) -> tuple[Answer, AsyncIterator[Any]]:
        """Send a POST and return the head of its answer, and the frames of its event stream.

        An answer that is not an event stream comes whole, with no frames.
        """

    async def websocket(self, segment: str) -> CarriedSocket:
        """Open a WebSocket."""

    async def close(self) -> None:
        """End all connections, without a word of the protocol."""


class InProcess:
    """Calls an ASGI application.

    Args:
        app: the hub, or an application that mounts it.
        path: of the channel.
        headers: of every request.
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
        """Be gone, without a close frame."""
        self._socket.leave()

    async def get(self) -> Any:
        message = await self._connection.next(IN_PROCESS_DEADLINE)
        if message["type"] == "websocket.close":
            return Closed(message["code"])
        return json.loads(message["text"]) if "text" in message else message["bytes"]


class Tcp:
    """Writes bytes to a server on loopback; POSTs share a connection that is kept.

    Args:
        port: of the server.
        path: of the channel.
        deadline: seconds for each wait; None: as long as it takes.
    """

    def __init__(self, port: int, path: str = "/chat", deadline: float | None = DEADLINE) -> None:
        self.port = port
        self._path = path
        self._deadline = deadline
        self._posts: TcpClient | None = None
        self._connections: list[TcpClient] = []

    async def post(self, segment: str, body: bytes) -> Answer:
        posts = self._posts
        if posts is None or posts.reader.at_eof():  # servers end what is idle
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
        answer = await connection.shake_hands(f"{self._path}/{segment}")
        assert answer.status == 101, answer
        return connection

    async def close(self) -> None:
        for connection in self._connections:
            connection.abort()
