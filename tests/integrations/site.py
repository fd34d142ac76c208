"""The site of a library's page: its endpoint as it is, and over a hub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from transport import Hub, as_websocket

BUILD = Path(__file__).with_name("build")
"""What `bundle.mjs` writes."""


def site(
    endpoint: ASGIApp,
    seen: Sequence[object] = (),
    running: AbstractAsyncContextManager[object] | None = None,
) -> Starlette:
    """Serve an unmodified endpoint at ``/ws`` by a hub, and at ``/bare/ws`` as it is.

    Args:
        endpoint: an ASGI application that serves WebSockets.
        seen: a list that the endpoint appends to, for the test to read at ``/seen``.
        running: what the endpoint needs while it serves, if anything.
    """
    hub = Hub(as_websocket(endpoint))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with running or nullcontext(), hub.lifespan(app):
            yield

    routes = [
        Route("/page/{library}", _page),
        Route("/seen", lambda _: JSONResponse(list(seen))),
        Mount("/build", StaticFiles(directory=BUILD)),
        Mount("/ws", hub),
        Mount("/bare/ws", endpoint),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _page(request: Request) -> HTMLResponse:
    script = f"/build/{request.path_params['library']}.js"
    return HTMLResponse(f'<!doctype html><body><script type="module" src="{script}"></script>')
