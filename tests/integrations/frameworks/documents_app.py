"""pycrdt-websocket's ASGI server, below a hub: documents that several pages edit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pycrdt.websocket import ASGIServer, WebsocketServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from transport import Hub, as_websocket

documents = WebsocketServer(auto_clean_rooms=False)
left: list[int] = []
endpoint = ASGIServer(documents, on_disconnect=lambda event: left.append(event["code"]))
hub = Hub(as_websocket(endpoint))


async def _report(_: Request) -> JSONResponse:
    clients = {name: len(room.clients) for name, room in documents.rooms.items()}
    return JSONResponse({"clients": clients, "left": left})


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with documents, hub.lifespan(app):
        yield


app = Starlette(
    routes=[Route("/report", _report), Mount("/documents", app=hub)], lifespan=_lifespan
)
