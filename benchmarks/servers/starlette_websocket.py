"""The servers on Starlette's WebSocket."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

members: set[WebSocket] = set()


async def echoing(websocket: WebSocket) -> None:
    """Send each message back to its sender."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def sharing(websocket: WebSocket) -> None:
    """Send each message to all clients."""
    await websocket.accept()
    members.add(websocket)
    async for text in websocket.iter_text():
        for member in members:
            await member.send_text(text)
    members.discard(websocket)


echo = Starlette(routes=[WebSocketRoute("/websocket", echoing)])
lobby = Starlette(routes=[WebSocketRoute("/websocket", sharing)])
