"""A client that leaves at any moment: the hub always answers something, and nothing raises."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport import Channel, Hub, Limits
from transport.testing import Connection, ask, lines, opening, scope_of

BODY = lines(opening())
LEFT: Message = {"type": "http.disconnect"}


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


async def read_body(request: Request, call_next: RequestResponseEndpoint) -> Response:
    await request.body()
    return await call_next(request)


def behind(count: int, dispatch: Any = pass_on) -> ASGIApp:
    """Return a hub behind that many BaseHTTPMiddleware."""
    return Starlette(
        routes=[Mount("/chat", app=Hub(echo))],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)] * count,
    )


def post_scope(path: str, **headers: str) -> Scope:
    fields = {"content-type": "application/x-ndjson", **headers}
    return scope_of("http", path, fields, method="POST")


async def until_returned(connection: Connection) -> None:
    """Read what the application sends until it returns. An exception of it is raised here."""
    with suppress(EOFError):
        while True:
            await connection.next()


INBOUND: dict[str, list[Message]] = {
    "before its body": [LEFT],
    "in its body": [{"type": "http.request", "body": BODY[:9], "more_body": True}, LEFT],
    "after its body": [{"type": "http.request", "body": BODY, "more_body": False}, LEFT],
}


@pytest.mark.parametrize("path", ["sse", "poll", "send", "nothing"])
@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("leaves", INBOUND)
async def test_client_that_leaves_gets_some_answer(path: str, count: int, leaves: str) -> None:
    """BaseHTTPMiddleware raises "No response returned." for an application that is silent."""
    connection = Connection(behind(count), post_scope(f"/chat/{path}"), list(INBOUND[leaves]))
    message = await connection.next()
    assert message["type"] == "http.response.start"
    assert message["status"] in (200, 400, 404, 408)
    while message.get("more_body", True):
        message = await connection.next()
    await connection.stop()
    assert connection.task.cancelled() or connection.task.exception() is None


@pytest.mark.parametrize("length", ["400000", None])
async def test_client_that_leaves_in_oversize_body_is_answered(length: str | None) -> None:
    """HTTP-1: with a declared length, nothing of the body is read before the answer."""
    headers = {"content-length": length} if length is not None else {}
    chunk = {"type": "http.request", "body": b"x" * 400_000, "more_body": True}
    connection = Connection(behind(1), post_scope("/chat/send", **headers), [chunk, LEFT])
    assert (await connection.next())["status"] == 413
    await connection.stop()


async def test_parked_poll_of_client_that_left_is_answered() -> None:
    """POL-3."""
    hub = Hub(echo, limits=Limits(poll_hold=0.1))
    opened = (await ask(hub, "/poll", BODY)).frames[0]
    poll = {"type": "poll", "session": opened["session"], "client": opened["client"]}
    body = lines({**poll, "attach": 1, "poll": 1, "ack": 0})
    inbound: list[Message] = [{"type": "http.request", "body": body, "more_body": False}, LEFT]
    connection = Connection(hub, post_scope("/poll"), inbound)
    assert (await connection.next())["status"] == 200
    await connection.stop()


async def test_body_that_middleware_has_read_is_served() -> None:
    answer = await ask(behind(2, read_body), "/chat/poll", BODY)
    assert answer.frames[0]["type"] == "opened"


REQUESTS: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("POST", "/poll", BODY, {}),
    ("POST", "/sse", BODY, {}),
    ("POST", "/send", BODY, {}),
    ("POST", "/send", b"x" * 400_000, {}),
    ("GET", "/client.js", b"", {}),
    ("GET", "/websocket", b"", {}),
    ("OPTIONS", "/poll", b"", {"origin": "http://x", "access-control-request-method": "POST"}),
]


@pytest.mark.parametrize(("method", "path", "body", "headers"), REQUESTS)
@pytest.mark.parametrize("fails_at", ["http.response.start", "http.response.body"])
async def test_send_to_client_that_left_raises_nothing(
    method: str, path: str, body: bytes, headers: dict[str, str], fails_at: str
) -> None:
    """ASGI 2.4: ``send`` raises OSError once the client has disconnected."""
    hub = Hub(echo)
    failed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def sends(message: Message) -> None:
            if message["type"] == fails_at:
                failed.append(fails_at)
                raise OSError("the client has disconnected")
            await send(message)

        await hub(scope, receive, sends)

    fields = {"content-type": "application/x-ndjson", **headers}
    scope = scope_of("http", path, fields, method=method)
    inbound: list[Message] = [{"type": "http.request", "body": body, "more_body": False}, LEFT]
    connection = Connection(app, scope, inbound)
    await until_returned(connection)
    assert failed


@pytest.mark.parametrize("error", [OSError, RuntimeError])
@pytest.mark.parametrize("fails_at", ["accept", "send", "close", "http.response.start"])
async def test_websocket_client_that_left_in_opening_raises_nothing(
    error: type[Exception], fails_at: str
) -> None:
    """Servers differ in what ``send`` raises then; uvicorn raises both."""
    hub = Hub(echo)
    failed: list[str] = []
    refused = fails_at == "http.response.start"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def sends(message: Message) -> None:
            if message["type"] == f"websocket.{fails_at}":
                failed.append(fails_at)
                raise error("the client has disconnected")
            await send(message)

        await hub(scope, receive, sends)

    inbound: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"type":"ping"}'},
        {"type": "websocket.receive", "text": "no frame"},
    ]
    origin = {"origin": FOREIGN} if refused else {}
    connection = Connection(app, scope_of("websocket", "/websocket", origin), inbound)
    await until_returned(connection)
    assert failed


FOREIGN = "https://evil.example"


async def test_defect_during_websocket_opening_is_not_hidden() -> None:
    """Only the errors of ``send`` mean that the client has left."""

    async def defect(*_: object) -> None:
        raise RuntimeError("a defect")

    hub = Hub(echo)
    async with hub.lifespan():
        runtime = hub._lifecycle.current
        assert runtime is not None
        runtime.open = defect  # type: ignore[assignment]
        inbound: list[Message] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": BODY.decode().strip()},
        ]
        connection = Connection(hub, scope_of("websocket", "/websocket", None), inbound)
        assert (await connection.next())["type"] == "websocket.accept"
        with pytest.raises(RuntimeError, match="a defect"):
            await connection.next()
