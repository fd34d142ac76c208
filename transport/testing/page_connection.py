"""One connection of a `Page`: a WebSocket, an event stream or polls, with its POSTs.

`ApplicationCalls` calls the application and keeps track of what is running: the calls and the tasks
that read their answers. A `PageConnection` belongs to one attach of the client session. It writes
the session's output and reports what is received; it numbers, stores and retries nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, assert_never

from starlette.types import ASGIApp

from transport.protocol.client.events import (
    Answer,
    ConnectionLost,
    FrameReceived,
    Input,
    Output,
    Request,
)
from transport.protocol.client.link import Link
from transport.protocol.frames import EncodedFrame, TransportKind
from transport.protocol.states import AttachState
from transport.testing import asgi
from transport.testing.asgi import DEADLINE, Connection, Stream

Work = Callable[..., Coroutine[Any, Any, None]]
Report = Callable[[Link, Input], None]

ATTEMPT_TIMEOUT = 10.0
"""Seconds within which an attach or a POST must be answered."""


class ApplicationCalls:
    """The calls that one page makes of an application, and the tasks that read the answers.

    Args:
        app: the hub, or an application that mounts it.
        path: the channel's path there, with its query.
        headers: headers of every request.
        on_change: called after each of the tasks has ended.

    Attributes:
        failure: what the application raised, if it did.
        unread: while it is set, the writes of the application wait for this event.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        headers: Mapping[str, str] | None,
        on_change: Callable[[], None],
    ) -> None:
        self.failure: Exception | None = None
        self.unread: asyncio.Event | None = None
        self._app = app
        self._path, _, self._query = path.partition("?")
        self._headers = dict(headers or {})
        self._on_change = on_change
        self._running: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._posts: set[asyncio.Task[None]] = set()

    @property
    def is_posting(self) -> bool:
        """Return whether a POST is unanswered."""
        return bool(self._posts)

    def handshake(self) -> Connection:
        """Ask for a WebSocket."""
        return self._track(asgi.handshake(self._app, self.url("websocket"), self._headers))

    def request(self, segment: str, wires: Iterable[EncodedFrame]) -> Connection:
        """POST these frames to the path that ends in ``segment``."""
        body = "".join(f"{wire!s}\n" for wire in wires).encode()
        return self._track(asgi.request(self._app, self.url(segment), body, headers=self._headers))

    def read(self, work: Work, *arguments: Any) -> asyncio.Task[None]:
        """Start a task that reads an answer."""
        task = asyncio.get_running_loop().create_task(self._guard(work, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def read_post(self, work: Work, *arguments: Any) -> None:
        """Start a task that reads the answer to a POST."""
        self._posts.add(self.read(work, *arguments))

    async def stop(self) -> None:
        """Cancel everything that is running and wait for its end."""
        for task in self._tasks:
            task.cancel()
        for call in self._running:
            call.task.cancel()
        tasks = {*self._tasks, *(call.task for call in self._running)}
        if tasks:
            await asyncio.wait(tasks, timeout=DEADLINE)

    def url(self, segment: str) -> str:
        """Return the path that ends in ``segment``, with its query."""
        return f"{self._path}/{segment}" + (f"?{self._query}" if self._query else "")

    def _track(self, connection: Connection) -> Connection:
        self._running.append(connection)
        connection.task.add_done_callback(lambda _: self._running.remove(connection))
        return connection

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._posts.discard(task)
        self._on_change()

    async def _guard(self, work: Work, *arguments: Any) -> None:
        try:
            await work(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again by whatever the test waits for
            self.failure = error


class PageConnection:
    """The connection of one attach.

    Args:
        calls: the calls of the application.
        link: the attach.
        report: called with the link and each input for the client session.

    Attributes:
        problem: why the hub refused the attach, or why the application is taken to have no hub at
            this path; None if it did not refuse.
    """

    def __init__(self, calls: ApplicationCalls, link: Link, report: Report) -> None:
        self._calls = calls
        self._link = link
        self._report = report
        self.problem: str | None = None
        self._down: Connection | None = None
        """The WebSocket, the stream, or the last poll."""
        self._posts: list[Connection] = []
        self._reader: asyncio.Task[None] | None = None

    # The end

    def leave(self) -> None:
        """End the connection. The server sees that it ended."""
        if self._reader is not None:
            self._reader.cancel()
        if self._down is not None:
            self._down.inbound.put_nowait(self._disconnect())

    def lose(self, *, noticed: bool) -> None:
        """Discard what is in flight.

        Args:
            noticed: whether the server sees that the connection ended, once it is left.
        """
        for call in (*self._posts, *([self._down] if self._down is not None else [])):
            while not call.inbound.empty():
                call.inbound.get_nowait()
        if self._reader is not None:
            self._reader.cancel()
        if not noticed:
            self._down = None
        for post in self._posts:
            post.inbound.put_nowait({"type": "http.disconnect"})

    def _disconnect(self) -> dict[str, Any]:
        if self._link.transport is TransportKind.WEBSOCKET:
            return {"type": "websocket.disconnect", "code": 1005}
        return {"type": "http.disconnect"}

    def block(self, until: asyncio.Event | None) -> None:
        """Read nothing before ``until`` is set. With None, continue to read."""
        if self._down is not None:
            self._down.blocked = until

    # Writing

    def write(self, output: Output) -> None:
        """Write an output of the client session."""
        match output.request:
            case None:
                assert self._down is not None
                for wire in output.frames:
                    self._put(self._down, wire)
            case Request.OPEN:
                self._open(output.frames)
            case Request.POLL:
                self._down = self._calls.request("poll", output.frames)
                self._read(self._poll, Request.POLL, self._down)
            case Request.POST:
                post = self._calls.request("send", output.frames)
                self._posts.append(post)
                self._calls.read_post(self._post, post)
            case _:
                assert_never(output.request)

    def _put(self, connection: Connection, wire: EncodedFrame) -> None:
        key = "text" if isinstance(wire, str) else "bytes"
        connection.inbound.put_nowait({"type": "websocket.receive", key: wire})

    def _open(self, wires: Iterable[EncodedFrame]) -> None:
        match self._link.transport:
            case TransportKind.WEBSOCKET:
                self._down = self._calls.handshake()
                for wire in wires:
                    self._put(self._down, wire)
                self._read(self._socket, self._down)
            case TransportKind.SSE:
                self._down = self._calls.request("sse", wires)
                self._read(self._stream, self._down)
            case TransportKind.LONGPOLL:
                self._down = self._calls.request("poll", wires)
                self._read(self._poll, Request.OPEN, self._down)
            case _:
                assert_never(self._link.transport)

    # Reading

    def _read(self, work: Work, *arguments: Any) -> None:
        assert self._down is not None
        self._down.blocked = self._calls.unread
        self._reader = self._calls.read(work, *arguments)

    async def _socket(self, connection: Connection) -> None:
        code = 1006
        try:
            message = await connection.next(None)
            if message["type"] == "websocket.http.response.start":
                body = (await connection.next(None))["body"].decode()
                self._answer(Request.OPEN, message["status"], body)
                return
            if message["type"] == "websocket.close":
                self._missing(
                    "closed before it was accepted (status 403 to a browser), as routers do with a "
                    "path that they do not know (status 404 over HTTP)"
                )
            while message["type"] != "websocket.close":
                message = await connection.next(None)
                if message["type"] == "websocket.send":
                    text = message.get("text")
                    if text is not None and self._link.state is AttachState.OPENING:
                        self._has_refused(text)
                    self._handle_input(FrameReceived(message["bytes"] if text is None else text))
            code = message["code"]
        except EOFError:
            pass  # the application returned without closing: 1006
        self._handle_input(ConnectionLost(f"closed with {code}", code))

    async def _stream(self, connection: Connection) -> None:
        status = 0
        try:
            head = await asgi.started(connection, None)
            if head.status != 200:
                await self._rest(Request.OPEN, connection, head)
                return
            stream = Stream(connection, head)
            status = 200
            while True:
                self._handle_input(FrameReceived(await stream.wire(None)))
        except EOFError:
            self._handle_input(Answer(Request.OPEN, status))

    async def _poll(self, of: Request, connection: Connection) -> None:
        try:
            head = await asgi.started(connection, None)
            await self._rest(of, connection, head)
        except EOFError:
            self._handle_input(Answer(of, 0))

    async def _post(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                head = await asgi.started(connection, None)
                await self._rest(Request.POST, connection, head)
        except (EOFError, TimeoutError):
            self._handle_input(Answer(Request.POST, 0))
        finally:
            self._posts.remove(connection)

    async def _rest(self, of: Request, connection: Connection, head: asgi.Answer) -> None:
        await asgi.finished(connection, head, None)
        self._answer(of, head.status, head.body.decode())

    def _answer(self, of: Request, status: int, body: str) -> None:
        if status != 200 and not self._has_refused(body):
            self._missing(f"answered by status {status}, without the reason that a hub gives")
        self._handle_input(Answer(of, status, body))

    def _has_refused(self, text: str) -> bool:
        """Return whether this is an ``error`` frame, and keep what it says."""
        if not text.startswith('{"type":"error"'):
            return False
        error = json.loads(text)
        self.problem = f"{self._path} was refused: {error['code']}: {error['message']}"
        return True

    @property
    def _path(self) -> str:
        transport = self._link.transport
        return self._calls.url("poll" if transport is TransportKind.LONGPOLL else transport.value)

    def _missing(self, what: str) -> None:
        self.problem = (
            f"{self._path} was {what}. Check the path given to drive() and the place "
            "of the hub: use Mount or app.mount() and not Route; the prefix of an APIRouter does "
            "not apply to its mounts"
        )

    def _handle_input(self, received: Input) -> None:
        self._report(self._link, received)
