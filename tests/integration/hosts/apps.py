"""Every way to mount a hub, in one application: `SHAPES` lists the paths.

``GET /statistics`` returns the number of connections of each hub, and of parked polls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport import Channel, Hub, Identity, Limits

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page of the tests of hosts</title>
<script type="module">
    import * as client from "/chat/client.js";
    Object.assign(window, client, { client, ready: true });
</script>
"""

OWN = "https://app.example"
"""An origin that the hubs accept besides their own."""

# All clients of a test have the same address; and no timer of the server fires before the deadline
# of a test, so nothing ends because of a timer.
_LIMITS = Limits(
    opens_per_second=1000, heartbeat=1000.0, poll_hold=1000.0, ttl=10_000.0, drain_grace=1000.0
)

hubs: dict[str, Hub] = {}
"""The hubs, by the name of their shape."""

_polls: set[object] = set()
"""Polls whose body was read, and that are not answered yet."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A channel's URL, and what its handler must see in ``channel.scope``.

    Attributes:
        path, query: the parts of the URL.
        hub: the name of the hub that serves it.
        cut: the prefix that the host's own convention or a proxy removed from the path.
        user: the user in ``scope["user"]``.
        headers: the headers that a client must send.
    """

    path: str
    hub: str
    query: str = ""
    cut: str = ""
    user: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


def _hub(name: str, **options: Any) -> Hub:
    """Return a hub whose handler echoes and obeys commands."""

    async def handler(channel: Channel) -> None:
        async for message in channel:
            match message:
                case {"tell": "scope"}:
                    await channel.send(_seen(name, channel))
                case {"close": [code, reason]}:
                    await channel.close(code, reason)
                case _:
                    await channel.send(message)

    hub = hubs[name] = Hub(handler, limits=_LIMITS, origins=[OWN], **options)
    return hub


def _seen(name: str, channel: Channel) -> dict[str, Any]:
    scope = channel.scope
    user: BaseUser | None = scope.get("user")
    return {
        "hub": name,
        "path": scope["path"],
        "query": scope["query_string"].decode(),
        "user": user.display_name if user is not None else None,
        "identity": channel.user,
    }


class _Bearer(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        kind, _, name = conn.headers.get("authorization", "").partition(" ")
        return (AuthCredentials(["authenticated"]), SimpleUser(name)) if kind == "Bearer" else None


async def _by_user(connection: HTTPConnection, _: Any) -> Identity | None:
    user = connection.user
    return Identity(user.display_name, user.display_name) if user.is_authenticated else None


async def _by_session(connection: HTTPConnection, _: Any) -> Identity | None:
    name = connection.session.get("name")
    return Identity(name, name) if name else None


async def _login(request: Request) -> Response:
    request.session["name"] = request.path_params["name"]
    return Response(status_code=204)


async def _dispatch(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Any:
    response = await call_next(request)
    response.headers["x-dispatched"] = "yes"
    return response


def _wrapped(name: str, *middleware: Middleware, **options: Any) -> Mount:
    """Mount the hub within an application that has this middleware."""
    return Mount(
        f"/{name}",
        app=Starlette(
            routes=[Route("/login/{name}", _login), Mount("/chat", app=_hub(name, **options))],
            middleware=middleware,
        ),
    )


def _fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: int) -> dict[str, int]:
        return {"item": item}

    app.mount("/chat", _hub("fastapi"))
    return app


class _Split:
    """Two processes as a client sees them: its POSTs reach the process that did not open."""

    def __init__(self) -> None:
        self.opens, self.sends = _hub("split-opens"), _hub("split-sends")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = self.sends if scope["path"].endswith("/send") else self.opens
        await hub(scope, receive, send)


class _Stripping:
    """A proxy that removes a prefix from the path, with a server configured accordingly."""

    def __init__(self, prefix: str, app: ASGIApp, root_path: str) -> None:
        self._prefix, self._app, self._root_path = prefix, app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix(self._prefix)
        scope = {**scope, "path": path, "root_path": self._root_path}
        await self._app(scope, receive, send)


def _nested(name: str) -> Mount:
    inner = Starlette(routes=[Mount("/c", app=_hub(name))])
    return Mount("/a", routes=[Mount("/b", app=inner)])


async def _statistics(_: Request) -> Response:
    connections = {name: (await hub.statistics()).connections for name, hub in hubs.items()}
    return JSONResponse({**connections, "polls": len(_polls)})


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE)


@asynccontextmanager
async def _lifespan(_: object) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for name, hub in hubs.items():
            if name != "unwired":
                await stack.enter_async_context(hub.lifespan())
        yield


def _shape(path: str, hub: str | None = None, **more: Any) -> tuple[str, Shape]:
    return path, Shape(path, hub or path.split("/")[1], **more)


SHAPES: dict[str, Shape] = dict(
    [
        _shape("/mounted"),
        _shape("/mounted/rooms/7", query="lang=de&empty=", hub="mounted"),
        _shape("/mounted/rooms/caf%C3%A9%20%E2%98%95", hub="mounted"),
        _shape("/other"),
        _shape("/a/b/c", hub="nested"),
        _shape("/fastapi/chat"),
        _shape("/unwired"),
        _shape("/bare/itself"),
        _shape("/stripped/chat", cut="/stripped"),
        _shape("/stripped-fastapi/chat", cut="/stripped-fastapi"),
        _shape("/base/chat"),
        _shape("/gzip/chat"),
        _shape("/cors/chat"),
        _shape("/all/chat"),
        _shape("/authenticated/chat", user="ada", headers=(("authorization", "Bearer ada"),)),
    ]
)

_cors = Middleware(
    CORSMiddleware, allow_origins=[OWN], allow_methods=["POST"], allow_credentials=True
)
_gzip = Middleware(GZipMiddleware, minimum_size=1)
_base = Middleware(BaseHTTPMiddleware, dispatch=_dispatch)

_main = Starlette(
    routes=[
        Route("/", _page),
        Route("/statistics", _statistics),
        Mount("/mounted", app=_hub("mounted")),
        Mount("/other", app=_hub("other")),
        _nested("nested"),
        Mount("/fastapi", app=_fastapi()),
        Mount("/unwired", app=_hub("unwired")),
        Mount("/chat", app=_Split()),
        _wrapped("base", _base),
        _wrapped("gzip", _gzip),
        _wrapped("cors", _cors),
        _wrapped("all", _cors, _gzip, _base, _base),
        _wrapped(
            "authenticated",
            Middleware(AuthenticationMiddleware, backend=_Bearer()),
            authenticate=_by_user,
        ),
        _wrapped(
            "session", Middleware(SessionMiddleware, secret_key="a"), authenticate=_by_session
        ),
    ],
    lifespan=_lifespan,
)

alone = _hub("bare")

_stripped = Starlette(routes=[Mount("/chat", app=_hub("stripped"))])
_stripped_fastapi = FastAPI()
_stripped_fastapi.mount("/chat", _hub("stripped-fastapi"))

_UNROUTED: dict[str, ASGIApp] = {
    "/bare/": alone,
    "/stripped/": _Stripping("/stripped", _stripped, "/public"),
    "/stripped-fastapi/": _Stripping("/stripped-fastapi", _stripped_fastapi, "/public/api"),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve all shapes: those without a router in front, and those of Starlette."""
    path = str(scope.get("path", ""))
    routed = next((app for prefix, app in _UNROUTED.items() if path.startswith(prefix)), _main)
    if not path.endswith("/poll"):
        await routed(scope, receive, send)
        return
    poll = object()

    async def reading() -> Message:
        message = await receive()
        if not message.get("more_body", False):
            _polls.add(poll)
        return message

    try:
        await routed(scope, reading, send)
    finally:
        _polls.discard(poll)


_prefixed_nested = _nested("prefixed-nested")
prefixed = Starlette(routes=[Mount("/chat", app=_hub("prefixed")), _prefixed_nested])
"""The paths for servers that are configured with a prefix."""
