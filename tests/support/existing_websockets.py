"""WebSocket endpoints, bare below ``/bare`` and below a hub of `as_websocket` at ``/ws``.

``GET /`` is a page with `FallbackWebSocket` and `install`, and ``/worker.js`` a module worker that
answers a script with its value. ``GET /report`` tells, for each ``name`` in the query of a
WebSocket, what its endpoint has seen.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tests.support.short_limits import ShortLimits
from transport import Channel, Hub, Limits, as_websocket

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page with WebSockets</title>
<script type="module">
    import { FallbackWebSocket, install } from "/ws/websocket.js";
    const FAST = { retryBase: 0.05, retryMax: 0.2 };
    /** Makes a socket over a transport only, or the browser's own, and records its events. */
    const dial = (path, transport, ...words) => {
        const Class = transport === "native" ? WebSocket
            : FallbackWebSocket.with({ ...FAST, ...(transport && { transports: [transport] }) });
        const socket = new Class(path, ...words);
        socket.events = [];
        socket.binaryType = "arraybuffer";
        for (const type of ["open", "message", "error", "close"])
            socket.addEventListener(type, ({ data, code, reason, wasClean }) => {
                const fields = { message: [data], close: [code, reason, wasClean] }[type] ?? [];
                socket.events.push([type, ...fields]);
            });
        return socket;
    };
    Object.assign(window, { FallbackWebSocket, install, dial, ready: true });
</script>
"""

_WORKER = """\
import { FallbackWebSocket, install } from "/ws/websocket.js";
Object.assign(globalThis, { FallbackWebSocket, install });
onmessage = async ({ data }) => postMessage(await (0, eval)(data));
"""

_released = asyncio.Event()
_seen: dict[str, list[Any]] = defaultdict(list)


def _report(websocket: WebSocket) -> list[Any]:
    return _seen[websocket.query_params.get("name", "")]


async def _send(websocket: WebSocket, event: Message) -> None:
    """Send, unless the client has closed: a bare connection knows that before it is received."""
    if websocket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect):
            await websocket.send(event)


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
            await _send(websocket, {"type": "websocket.send", "bytes": event["bytes"]})
            continue
        report.append(text[:40])
        word, _, rest = text.partition(" ")
        if word == "close":
            code, _, reason = rest.partition(" ")
            await websocket.close(int(code or 1000), reason)
            return
        if word == "push":
            for number in range(int(rest)):
                await _send(websocket, {"type": "websocket.send", "text": f"{number}"})
        elif word == "raise":
            raise RuntimeError("on purpose")
        else:
            await _send(websocket, {"type": "websocket.send", "text": text})


async def _deny(websocket: WebSocket) -> None:
    await websocket.send_denial_response(
        Response("no", status_code=int(websocket.query_params.get("status", "403")))
    )


async def _silent(websocket: WebSocket) -> None:
    """Accept nothing until the client goes."""
    _report(websocket).append(["connect", []])
    await websocket.receive()
    await websocket.receive()
    with suppress(WebSocketDisconnect):
        await websocket.send({"type": "websocket.close"})  # else the server logs an error


async def _deaf(websocket: WebSocket) -> None:
    """Accept, and receive nothing until ``GET /release``."""
    await websocket.accept()
    await _released.wait()


async def _channel(channel: Channel) -> None:
    async for _ in channel:
        pass


async def _page(request: Request) -> Response:
    """Return the page, or the HTML and the policy in the query."""
    headers = {"content-security-policy": request.query_params.get("policy", "")}
    return HTMLResponse(request.query_params.get("html", _PAGE), headers=headers)


async def _worker(_: Request) -> Response:
    return Response(_WORKER, media_type="text/javascript")


async def _release(_: Request) -> Response:
    _released.set()
    return Response(status_code=204)


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
hub = Hub(as_websocket(bare), limits=Limits(opens_per_second=1000))
expiring = Hub(as_websocket(bare), limits=ShortLimits(ttl=2.0, away=0.2, closing=0.5))
app = Starlette(
    routes=[
        Route("/", _page),
        Route("/worker.js", _worker),
        Route("/report", _reports),
        Route("/release", _release),
        Mount("/bare", bare),
        Mount("/ws", hub),
        Mount("/expiring", expiring),
        Mount("/chat", Hub(_channel)),
    ],
    lifespan=hub.lifespan,
)
