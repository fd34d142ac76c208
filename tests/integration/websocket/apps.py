"""One WebSocket application, below ``/bare`` as it is and below ``/ws`` behind a hub.

What an endpoint has seen under the name in its query is in ``GET /report``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from transport import Channel, Hub, Limits, as_websocket

_seen: dict[str, dict[str, Any]] = {}


def note(websocket: WebSocket) -> dict[str, Any]:
    name = websocket.query_params.get("name", "")
    seen = _seen.setdefault(name, {"connects": 0, "received": 0, "disconnects": []})
    seen["connects"] += 1
    return seen


async def echo(websocket: WebSocket) -> None:
    """Echo text and bytes. ``close 4000 reason`` closes, ``slow`` takes time."""
    seen = note(websocket)
    offered = websocket.scope["subprotocols"]
    await websocket.accept(offered[-1] if offered else None, [(b"x-accept", b"yes")])
    with suppress(WebSocketDisconnect):  # it was closed before the application knew
        await _echo_all(websocket, seen)


async def _echo_all(websocket: WebSocket, seen: dict[str, Any]) -> None:
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            seen["disconnects"].append([event["code"], event.get("reason") or ""])
            return
        seen["received"] += 1
        text = event.get("text")
        if text is None:
            await websocket.send_bytes(event["bytes"])
        elif text.startswith("close "):
            _, code, reason = text.split(" ", 2)
            await websocket.close(int(code), reason)
            return
        else:
            await asyncio.sleep(0.01 if text == "slow" else 0)
            await websocket.send_text(text)


async def count(websocket: WebSocket) -> None:
    """Send the numbers below ``count``, as fast as they are taken; then close with 1000."""
    note(websocket)
    await websocket.accept()
    for number in range(int(websocket.query_params["count"])):
        await websocket.send_text(str(number))
    await websocket.close()


async def scope(websocket: WebSocket) -> None:
    """Send what the application sees of the request."""
    await websocket.accept()
    headers = {name: websocket.headers.get(name) for name in ("x-one", "x-two", "user-agent")}
    path = websocket.url.path.removeprefix(websocket.scope["root_path"].partition("?")[0])
    await websocket.send_json(
        {"headers": headers, "cookies": websocket.cookies, "query": websocket.url.query}
        | {"path": path.rpartition("/")[2]}
    )
    await websocket.close()


async def deny(websocket: WebSocket) -> None:
    """Deny the connection, with a status if one is asked for."""
    seen = note(websocket)
    if status := websocket.query_params.get("status"):
        if seen["connects"] == 1 or "always" in websocket.query_params:
            await websocket.send_denial_response(PlainTextResponse("denied", int(status)))
            return
        await websocket.accept()
    await websocket.close()


async def never(websocket: WebSocket) -> None:
    """Neither accept nor deny before the client has gone."""
    seen = note(websocket)
    await websocket.receive()
    event = await websocket.receive()
    seen["disconnects"].append([event["code"], event.get("reason") or ""])


inner = Starlette(
    routes=[WebSocketRoute(f"/{one.__name__}", one) for one in (echo, count, scope, deny, never)]
)


async def _report(_: Request) -> JSONResponse:
    return JSONResponse(_seen)


async def _chat(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


# The tests open many connections in a second, all of one address.
hub = Hub(as_websocket(inner), limits=Limits(opens_per_second=1000))
chat = Hub(_chat)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with hub.lifespan(app), chat.lifespan(app):
        yield


app = Starlette(
    routes=[
        Route("/report", _report),
        Mount("/bare", app=inner),
        Mount("/ws", app=hub),
        Mount("/chat", app=chat),
    ],
    lifespan=_lifespan,
)
