"""Drive an ASGI application in process, event by event, without sockets.

`ask` sends one request and returns its whole answer; `stream` reads an answer while it grows;
`socket` opens a WebSocket. Every wait has a deadline, by the clock of the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from transport.protocol.frames import NDJSON

DEADLINE = 5.0
"""Seconds after which a wait has failed."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that no event announces.

    Raises:
        TimeoutError: the condition did not hold in time.
    """
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


def lines(*frames: object) -> bytes:
    """Return frames as a body (PROTOCOL.md FRM-1)."""
    return "".join(json.dumps(frame, separators=(",", ":")) + "\n" for frame in frames).encode()


def opening(number: int = 1, **fields: object) -> dict[str, Any]:
    """Return an ``open`` of client ``client-0123456789`` (PROTOCOL.md section 3).

    Args:
        number: the number of the attach.
        fields: fields to add or replace. Without any, it asks for a new session.
    """
    return {
        "type": "open",
        "versions": [1],
        "client": "client-0123456789",
        "nonce": "nonce-1-0123456789abcdef",
        "attach": number,
        "received": 0,
        "first_retained": 1,
        **fields,
    }


def scope_of(kind: str, path: str, headers: Mapping[str, str] | None, **fields: Any) -> Scope:
    """Return an ASGI scope such as uvicorn makes.

    Args:
        kind: ``"http"`` or ``"websocket"``.
        path: the path, percent-encoded, with its query.
        headers: headers besides ``host``.
        fields: fields to add or replace.
    """
    raw, _, query = path.partition("?")
    pairs = {"host": "test", **(headers or {})}
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs.items()],
        "client": ("192.0.2.1", 50000),
        "server": ("test", 80),
        "extensions": {"websocket.http.response": {}} if kind == "websocket" else {},
        **fields,
    }


class Connection:
    """One call of an application, with two queues in place of a server.

    Args:
        app: the application to call.
        scope: the scope to call it with.
        first: events that are queued for the application from the start.

    Attributes:
        inbound: events for the application.
        outbound: events of the application; `next` reads them.
        blocked: while set, the application's ``send`` waits for this event, as it would for a
            peer that stops reading.
        task: runs the application.
    """

    def __init__(self, app: ASGIApp, scope: Scope, first: Iterable[Message]) -> None:
        self.inbound: asyncio.Queue[Message] = asyncio.Queue()
        self.outbound: asyncio.Queue[Message] = asyncio.Queue()
        self.blocked: asyncio.Event | None = None
        for message in first:
            self.inbound.put_nowait(message)
        self.task = asyncio.get_running_loop().create_task(self._run(app, scope))

    async def _run(self, app: ASGIApp, scope: Scope) -> None:
        await app(scope, self.inbound.get, self._send)

    async def _send(self, message: Message) -> None:
        if self.blocked is not None:
            await self.blocked.wait()
        self.outbound.put_nowait(message)

    async def next(self, within: float | None = DEADLINE) -> Message:
        """Return the application's next event.

        Args:
            within: the timeout in seconds; None waits for ever.

        Raises:
            EOFError: the application has returned, or was cancelled. An exception of the
                application is raised here too.
            TimeoutError: there was no event in time.
        """
        async with asyncio.timeout(within):
            if self.outbound.empty():
                getting = asyncio.ensure_future(self.outbound.get())
                try:
                    await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
                    if getting.done():
                        return getting.result()
                finally:
                    getting.cancel()
            if not self.outbound.empty():
                return self.outbound.get_nowait()
            if not self.task.cancelled():
                self.task.result()
            raise EOFError("the application has returned")

    async def stop(self) -> None:
        """Cancel the application's task, as a server does when it shuts down."""
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=DEADLINE)


@dataclass
class Answer:
    """The answer to an HTTP request."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def frames(self) -> list[Any]:
        """Its lines."""
        return [json.loads(line) for line in self.body.decode().split("\n") if line]


async def ask(
    app: ASGIApp,
    path: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    chunks: Iterable[bytes] | None = None,
) -> Answer:
    """Send one request and return its whole answer. The arguments are those of `request`."""
    connection = request(app, path, body, method=method, headers=headers, chunks=chunks)
    try:
        return await whole(connection)
    finally:
        await connection.stop()


def request(
    app: ASGIApp,
    path: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    chunks: Iterable[bytes] | None = None,
) -> Connection:
    """Send one request; `started` and `whole` wait for its answer.

    Args:
        app: the application to call.
        path: the path, with its query.
        body: a channel's frames, as `lines` returns them.
        method: the HTTP method.
        headers: additional headers. The content type of a channel's frames is set already.
        chunks: the body in parts, instead of ``body``.
    """
    given = {"content-type": NDJSON, **(headers or {})}
    parts = list(chunks) if chunks is not None else [body]
    messages = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]
    return Connection(app, scope_of("http", path, given, method=method), messages)


async def whole(connection: Connection, within: float | None = DEADLINE) -> Answer:
    """Wait for the whole answer to a request; ``within`` is the timeout of each part."""
    return await finished(connection, await started(connection, within), within)


async def started(connection: Connection, within: float | None = DEADLINE) -> Answer:
    """Wait for the head of an answer."""
    start = await connection.next(within)
    assert start["type"] == "http.response.start", start
    headers = {key.decode(): value.decode("latin-1") for key, value in start["headers"]}
    return Answer(start["status"], headers)


async def finished(
    connection: Connection, answer: Answer, within: float | None = DEADLINE
) -> Answer:
    """Wait for the whole body of an answer whose head has arrived."""
    more = True
    while more:
        message = await connection.next(within)
        answer.body += message.get("body", b"")
        more = message.get("more_body", False)
    return answer


@dataclass
class Stream:
    """An event stream that is being read."""

    connection: Connection
    head: Answer
    waiting: list[str] = field(default_factory=list)
    """Frames that have arrived and were not read yet."""

    async def frame(self) -> Any:
        """Return the frame of the next event. Raise EOFError if the stream ended properly."""
        return json.loads(await self.wire())

    async def wire(self, within: float | None = DEADLINE) -> str:
        """Return the frame of the next event, as text."""
        while not self.waiting:
            message = await self.connection.next(within)
            if not message.get("more_body", False):
                raise EOFError("the stream has ended")
            for event in message["body"].decode().split("\n\n")[:-1]:
                assert event.startswith("data: "), event
                assert "\n" not in event, event
                self.waiting.append(event.removeprefix("data: "))
        return self.waiting.pop(0)

    async def rest(self) -> list[Any]:
        """Return all frames until the stream ends."""
        frames = []
        try:
            while True:
                frames.append(await self.frame())
        except EOFError:
            return frames


@asynccontextmanager
async def stream(app: ASGIApp, path: str, frame: object, **options: Any) -> AsyncIterator[Stream]:
    """POST a frame and read the answer as events. The options are those of `request`."""
    connection = request(app, path, lines(frame), **options)
    try:
        yield Stream(connection, await started(connection))
    finally:
        await connection.stop()


class Socket:
    """A WebSocket that was accepted."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, frame: object) -> None:
        """Send a frame: bytes as they are, str as text, anything else as JSON."""
        if isinstance(frame, bytes):
            self._put(bytes=frame)
        elif isinstance(frame, str):
            self._put(text=frame)
        else:
            self._put(text=json.dumps(frame, separators=(",", ":")))

    def _put(self, **data: Any) -> None:
        self.connection.inbound.put_nowait({"type": "websocket.receive", **data})

    def leave(self, code: int = 1005) -> None:
        """Disconnect."""
        self.connection.inbound.put_nowait({"type": "websocket.disconnect", "code": code})

    async def frame(self) -> Any:
        """Return the next frame: JSON, or bytes."""
        message = await self.connection.next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"]) if "text" in message else message["bytes"]

    async def closed(self) -> int:
        """Return the close code; no frame may come before it."""
        message = await self.connection.next()
        assert message["type"] == "websocket.close", message
        return int(message["code"])


def handshake(app: ASGIApp, path: str, headers: Mapping[str, str] | None = None) -> Connection:
    """Ask for a WebSocket."""
    return Connection(app, scope_of("websocket", path, headers), [{"type": "websocket.connect"}])


@asynccontextmanager
async def socket(
    app: ASGIApp, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Socket]:
    """Open a WebSocket."""
    connection = handshake(app, path, headers)
    try:
        message = await connection.next()
        assert message["type"] == "websocket.accept", message
        yield Socket(connection)
    finally:
        await connection.stop()


async def denied(app: ASGIApp, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer to a WebSocket that is refused before it is accepted."""
    connection = handshake(app, path, headers)
    try:
        start = await connection.next()
        body = await connection.next()
        return Answer(start["status"], {}, body["body"])
    finally:
        await connection.stop()
