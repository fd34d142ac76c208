"""What `as_websocket` takes, and the scope that it gives to its application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import Recorder, each_transport, end_of
from transport import Hub, Identity, as_websocket
from transport.server.inner_scope import inner_scope
from transport.testing import drive


@pytest.mark.parametrize("wrong", [None, "app", 3])
def test_as_websocket_with_no_callable_raises(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"ASGI application.*not"):
        as_websocket(wrong)


def test_as_websocket_of_socket_function_names_route() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        raise AssertionError(websocket)

    with pytest.raises(TypeError, match="WebSocketRoute"):
        as_websocket(endpoint)  # type: ignore[arg-type]


Event = dict[str, Any]


async def test_application_of_dicts_is_taken() -> None:
    """Type checkers must take it too: Starlette's own types are of `MutableMapping`."""

    async def app(
        scope: Event,
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})

    async with drive(Hub(as_websocket(app))) as page:
        assert await end_of(page) == (4000, "")


@each_transport
async def test_scope_is_that_of_a_websocket(transport: str) -> None:
    app = Recorder()

    class Middleware:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await outer({**scope, "state": {"pool": 1}, "session": {"user": "ann"}}, receive, send)

    outer = Starlette(routes=[Mount("/ws", app=Hub(as_websocket(app)))])
    path = "/ws/rooms/7?lang=de"
    headers = {"cookie": "a=b"}
    async with drive(Middleware(), path, transport=transport, headers=headers) as page:
        await page.send("hello")
        assert await page.receive() == "hello"
    scope = app.scope
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "ws", [])
    assert (scope["root_path"], scope["path"]) == ("/ws", "/ws/rooms/7")
    assert scope["raw_path"] == b"/ws/rooms/7"
    assert scope["query_string"] == b"lang=de"
    assert scope["state"] == {"pool": 1}
    assert scope["session"] == {"user": "ann"}
    assert scope["client"]
    assert (b"cookie", b"a=b") in scope["headers"]
    assert not {b"content-type", b"content-length"} & {name for name, _ in scope["headers"]}
    assert "method" not in scope
    assert scope["extensions"] == {"websocket.http.response": {}}


@pytest.mark.parametrize("path", ["/ws", "/ws/"])
async def test_scope_at_the_mount_has_path_of_slash(path: str) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(websocket.url))
        await websocket.close()

    inner = Starlette(routes=[WebSocketRoute("/", endpoint)])
    outer = Starlette(routes=[Mount("/ws", app=Hub(as_websocket(inner)))])
    async with drive(outer, path.rstrip("/")) as page:
        assert str(await page.receive()).endswith("/ws/")
        assert await end_of(page) == (1000, "")


async def _ann(connection: HTTPConnection, credentials: Any) -> Identity:
    return Identity("ann", user=credentials)


@each_transport
@pytest.mark.parametrize("user", [{"name": "Ann"}, None])
async def test_user_of_authenticate_is_in_scope(transport: str, user: Any) -> None:
    app = Recorder()
    hub = Hub(as_websocket(app), authenticate=_ann)
    async with drive(hub, transport=transport, credentials=user) as page:
        await page.send("hello")
        assert await page.receive() == "hello"
    assert app.scope.get("user", "none") == (user if user is not None else "none")


async def test_user_of_middleware_is_kept() -> None:
    """`authenticate` may be given credentials that the middleware has not seen."""
    app = Recorder()
    hub = Hub(as_websocket(app), authenticate=_ann)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await hub({**scope, "user": None}, receive, send)

    async with drive(middleware, credentials="of authenticate") as page:
        await page.send("hello")
        assert await page.receive() == "hello"
    assert app.scope["user"] is None


def test_scope_keeps_what_describes_the_page() -> None:
    kept = [(b"host", b"a.example"), (b"origin", b"https://a.example"), (b"cookie", b"a=b")]
    dropped = [
        (b"content-length", b"9"),
        (b"transfer-encoding", b"chunked"),
        (b"content-type", b"text/plain"),
        (b"accept", b"*/*"),
        (b"sec-websocket-protocol", b"of the opening"),
    ]
    opening = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": "/ws",
        "raw_path": b"/ws",
        "root_path": "/ws",
        "headers": [*dropped, *kept],
        "asgi": {"version": "3.1", "spec_version": "2.3"},
        "client": ("10.0.0.1", 5),
    }
    before = {**opening}
    assert inner_scope(opening, []) == {
        "type": "websocket",
        "scheme": "wss",
        "path": "/ws/",
        "raw_path": b"/ws/",
        "root_path": "/ws",
        "headers": kept,
        "asgi": {"version": "3.1", "spec_version": "2.4"},
        "client": ("10.0.0.1", 5),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    assert opening == before
    offering = inner_scope(opening, ["chat.v2", "chat.v1"])
    assert offering["headers"] == [*kept, (b"sec-websocket-protocol", b"chat.v2, chat.v1")]
    assert offering["subprotocols"] == ["chat.v2", "chat.v1"]


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", "ws"), ("https", "wss"), ("ws", "ws"), ("wss", "wss")]
)
def test_scheme_is_that_of_a_websocket(scheme: str, expected: str) -> None:
    opening = {"type": "http", "scheme": scheme, "path": "/", "headers": []}
    assert inner_scope(opening, [])["scheme"] == expected


def test_scope_keeps_the_certificate_of_the_page() -> None:
    """The TLS extension of ASGI; the others are of the opening request."""
    tls = {"client_cert_name": "CN=ann"}
    extensions: Scope = {"tls": tls, "http.response.trailers": {}}
    opening = {"type": "http", "path": "/", "headers": [], "extensions": extensions}
    expected = {"tls": tls, "websocket.http.response": {}}
    assert inner_scope(opening, [])["extensions"] == expected


@pytest.mark.parametrize("raw_path", [{}, {"raw_path": None}])
def test_scope_without_optional_keys(raw_path: dict[str, None]) -> None:
    """ASGI lets a server leave these out."""
    scope = inner_scope(
        {"type": "http", "path": "/ws", "root_path": "/ws", "headers": [], **raw_path}, []
    )
    assert scope == {
        "type": "websocket",
        "scheme": "ws",
        "path": "/ws/",
        "root_path": "/ws",
        "headers": [],
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        **raw_path,
    }
