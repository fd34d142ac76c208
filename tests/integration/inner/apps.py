"""WebSocket applications as their frameworks document them, each below a hub of `as_websocket`.

Each endpoint echoes, and reports under the name in its path what it has seen: ``GET /report``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from fastapi import (
    APIRouter,
    Cookie,
    Depends,
    FastAPI,
    HTTPException,
    Query,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router, WebSocketRoute

from transport import Hub, as_websocket


@dataclass(slots=True)
class Visit:
    """What an endpoint has seen under one name."""

    connects: int = 0
    disconnects: list[tuple[int, str]] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    released: int = 0
    """How often a dependency of the connection was released."""


_visits: dict[str, Visit] = {}


def visit(name: str) -> Visit:
    return _visits.setdefault(name, Visit())


# Starlette


async def _function(websocket: WebSocket) -> None:
    seen = visit(websocket.path_params["name"])
    await websocket.accept()
    seen.connects += 1
    try:
        while True:
            text = await websocket.receive_text()
            seen.received.append(text)
            await websocket.send_text(f"{websocket.query_params['lang']}:{text}")
    except WebSocketDisconnect as left:
        seen.disconnects.append((left.code, left.reason))


class _Endpoint(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: Any) -> None:
        await websocket.accept()
        visit(websocket.query_params["name"]).connects += 1

    async def on_receive(self, websocket: Any, data: Any) -> None:
        visit(websocket.query_params["name"]).received.append(data)
        await websocket.send_text(f"{websocket.query_params['lang']}:{data}")

    async def on_disconnect(self, websocket: Any, close_code: int) -> None:
        seen = visit(websocket.query_params["name"])
        seen.disconnects.append((close_code, ""))


# FastAPI


async def _connection(websocket: WebSocket) -> AsyncIterator[Visit]:
    seen = visit(websocket.path_params["name"])
    yield seen
    seen.released += 1


async def _user(websocket: WebSocket, theme: Annotated[str, Cookie()] = "none") -> str:
    if websocket.query_params.get("refused"):
        raise WebSocketException(code=1008, reason="not you")
    if websocket.query_params.get("busy"):
        raise HTTPException(status_code=429, detail="later")
    return f"{websocket.session.get('user')}, {theme}"


_router = APIRouter()


@_router.websocket("/rooms/{name}")
async def _room(
    websocket: WebSocket,
    name: str,
    lang: Annotated[str, Query(min_length=2)],
    user: Annotated[str, Depends(_user)],
    seen: Annotated[Visit, Depends(_connection)],
    count: int = 0,
) -> None:
    await websocket.accept()
    seen.connects += 1
    await websocket.send_json({"name": name, "user": user, "count": count})
    try:
        while True:
            text = await websocket.receive_text()
            seen.received.append(text)
            await websocket.send_text(f"{lang}:{text}")
    except WebSocketDisconnect as left:
        seen.disconnects.append((left.code, left.reason))


_fastapi = FastAPI()
_fastapi.include_router(_router)

_starlette = Starlette(routes=[WebSocketRoute("/rooms/{name}", _function)])


# All of them in one application


async def _log_in(request: Request) -> Response:
    request.session["user"] = "ann"
    return Response(status_code=204)


async def _report(_: Request) -> Response:
    return JSONResponse({name: asdict(seen) for name, seen in _visits.items()})


_hubs = {
    "starlette": Hub(as_websocket(_starlette)),
    "router": Hub(as_websocket(Router([WebSocketRoute("/rooms/{name}", _function)]))),
    "endpoint": Hub(as_websocket(_Endpoint)),
    "fastapi": Hub(as_websocket(_fastapi)),
}


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for hub in _hubs.values():
            await stack.enter_async_context(hub.lifespan(app))
        yield


app = Starlette(
    routes=[
        Route("/login", _log_in),
        Route("/report", _report),
        *(Mount(f"/{name}", app=hub) for name, hub in _hubs.items()),
    ],
    middleware=[Middleware(SessionMiddleware, secret_key="of the tests")],
    lifespan=_lifespan,
)
