"""Drive an ASGI application in process: each event by hand, no sockets, no clock of its own.

`ask` gives one request and its whole answer; `Stream` an answer that is read while it grows;
`Socket` a WebSocket. Every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope

DEADLINE = 5.0
NDJSON = "application/x-ndjson"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


def lines(*frames: object) -> bytes:
    """Frames as a body."""
    return "".join(json.dumps(frame, separators=(",", ":")) + "\n" for frame in frames).encode()


def opening(number: int = 1, **fields: object) -> dict[str, Any]:
    """An ``open`` of client ``client-0123456789``."""
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


def scope_of(kind: str, path: str, headers: dict[str, str] | None, **fields: Any) -> Scope:
    """An ASGI scope as uvicorn makes it."""
    pairs = {"host": "test", **(headers or {})}
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in pairs.items()],
        "client": ("192.0.2.1", 50000),
        "server": ("test", 80),
        "extensions": {"websocket.http.response": {}} if kind == "websocket" else {},
        **fields,
    }


class Connection:
    """The two queues between an application and its server."""

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

    async def next(self) -> Message:
        """The application's next event; its own error where it failed."""
        async with asyncio.timeout(DEADLINE):
            getting = asyncio.ensure_future(self.outbound.get())
            await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            getting.cancel()
            self.task.result()
            if not self.outbound.empty():
                return self.outbound.get_nowait()
            raise EOFError("the application has returned")

    async def stop(self) -> None:
        """End the application's task as a server that shuts down does."""
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=DEADLINE)


@dataclass
class Answer:
    """A complete HTTP answer."""

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
    headers: dict[str, str] | None = None,
    chunks: Iterable[bytes] | None = None,
) -> Answer:
    """One request, and its whole answer."""
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
    headers: dict[str, str] | None = None,
    chunks: Iterable[bytes] | None = None,
) -> Connection:
    """One request, whose answer is awaited elsewhere."""
    given = {"content-type": NDJSON, **(headers or {})}
    parts = list(chunks) if chunks is not None else [body]
    messages = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]
    return Connection(app, scope_of("http", path, given, method=method), messages)


async def whole(connection: Connection) -> Answer:
    """The whole answer of a request."""
    answer = await started(connection)
    more = True
    while more:
        message = await connection.next()
        answer.body += message.get("body", b"")
        more = message.get("more_body", False)
    return answer


async def started(connection: Connection) -> Answer:
    """The head of an answer."""
    start = await connection.next()
    assert start["type"] == "http.response.start", start
    headers = {key.decode(): value.decode("latin-1") for key, value in start["headers"]}
    return Answer(start["status"], headers)


@dataclass
class Stream:
    """An event stream that is being read."""

    connection: Connection
    head: Answer
    waiting: list[Any] = field(default_factory=list)

    async def frame(self) -> Any:
        """The next event's frame; EOFError where the stream ended properly."""
        while not self.waiting:
            message = await self.connection.next()
            if not message.get("more_body", False):
                raise EOFError
            for event in message["body"].decode().split("\n\n")[:-1]:
                assert event.startswith("data: "), event
                assert "\n" not in event, event
                self.waiting.append(json.loads(event.removeprefix("data: ")))
        return self.waiting.pop(0)

    async def rest(self) -> list[Any]:
        """All frames until the stream ends."""
        frames = []
        try:
            while True:
                frames.append(await self.frame())
        except EOFError:
            return frames


@asynccontextmanager
async def stream(app: ASGIApp, path: str, frame: object, **options: Any) -> AsyncIterator[Stream]:
    """POST a frame and read the answer as events."""
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
        """The client is gone."""
        self.connection.inbound.put_nowait({"type": "websocket.disconnect", "code": code})

    async def frame(self) -> Any:
        """The next frame: JSON, or bytes."""
        message = await self.connection.next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"]) if "text" in message else message["bytes"]

    async def closed(self) -> int:
        """The close code; what is sent before it is not expected."""
        message = await self.connection.next()
        assert message["type"] == "websocket.close", message
        return int(message["code"])


@asynccontextmanager
async def socket(
    app: ASGIApp, path: str, headers: dict[str, str] | None = None
) -> AsyncIterator[Socket]:
    """Open a WebSocket."""
    connection = Connection(
        app, scope_of("websocket", path, headers), [{"type": "websocket.connect"}]
    )
    try:
        message = await connection.next()
        assert message["type"] == "websocket.accept", message
        yield Socket(connection)
    finally:
        await connection.stop()


async def denied(app: ASGIApp, path: str, headers: dict[str, str] | None = None) -> Answer:
    """A WebSocket that is refused before it is accepted."""
    connection = Connection(
        app, scope_of("websocket", path, headers), [{"type": "websocket.connect"}]
    )
    try:
        start = await connection.next()
        body = await connection.next()
        return Answer(start["status"], {}, body["body"])
    finally:
        await connection.stop()
