"""WebSocket endpoints, bare below ``/bare`` and below a hub of `as_websocket` at ``/ws``.

``GET /`` is a page with `FallbackWebSocket` and `install`. ``GET /report`` tells, for each ``name``
in the query of a WebSocket, what its endpoint has seen.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from tests.support.short_limits import ShortLimits
from transport import Channel, Hub, as_websocket

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page with WebSockets</title>
<script type="module">
    import { FallbackWebSocket, install } from "/ws/websocket.js";
    Object.assign(window, { FallbackWebSocket, install, ready: true });
</script>
"""

_seen: dict[str, list[Any]] = defaultdict(list)


def _report(websocket: WebSocket) -> list[Any]:
    return _seen[websocket.query_params.get("name", "")]


async def _echo(websocket: WebSocket) -> None:
    """Return each message. ``close CODE REASON`` closes, and ``push COUNT`` sends numbers."""
    report = _report(websocket)
    report.append(["connect", list(websocket.scope["subprotocols"])])
    await websocket.accept(websocket.query_params.get("choose"))
    for message in websocket.query_params.getlist("greet"):
        await websocket.send_text(message)
    while True:
        event = await websocket.receive()
        if event["type"] == "websocket.disconnect":
            report.append(["disconnect", event["code"], event.get("reason") or ""])
            return
        text = event.get("text")
        if text is None:
            report.append(list(event["bytes"][:4]))
            await websocket.send_bytes(event["bytes"])
            continue
        report.append(text[:40])
        word, _, rest = text.partition(" ")
        if word == "close":
            code, _, reason = rest.partition(" ")
            await websocket.close(int(code or 1000), reason)
            return
        if word == "push":
            for number in range(int(rest)):
                await websocket.send_text(f"{number}")
        elif word == "raise":
            raise RuntimeError("on purpose")
        else:
            await websocket.send_text(text)


async def _deny(websocket: WebSocket) -> None:
    await websocket.send_denial_response(
        Response("no", status_code=int(websocket.query_params.get("status", "403")))
    )


async def _silent(websocket: WebSocket) -> None:
    """Accept nothing until the client goes."""
    _report(websocket).append(["connect", []])
    await websocket.receive()
    event = await websocket.receive()
    _report(websocket).append([event["type"], event["code"]])


async def _deaf(websocket: WebSocket) -> None:
    """Accept, and never receive."""
    await websocket.accept()
    await asyncio.Event().wait()


async def _channel(channel: Channel) -> None:
    async for _ in channel:
        pass


async def _page(_: Request) -> Response:
    return HTMLResponse(_PAGE)


async def _reports(_: Request) -> Response:
    return JSONResponse(_seen)


bare = Starlette(
    routes=[
        WebSocketRoute("/echo", _echo),
        WebSocketRoute("/deny", _deny),
        WebSocketRoute("/silent", _silent),
        WebSocketRoute("/deaf", _deaf),
    ]
)
hub = Hub(as_websocket(bare))
expiring = Hub(as_websocket(bare), limits=ShortLimits(ttl=2.0))
app = Starlette(
    routes=[
        Route("/", _page),
        Route("/report", _reports),
        Mount("/bare", bare),
        Mount("/ws", hub),
        Mount("/expiring", expiring),
        Mount("/chat", Hub(_channel)),
    ],
    lifespan=hub.lifespan,
)
