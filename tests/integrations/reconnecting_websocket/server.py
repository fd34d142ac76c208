"""A Starlette endpoint that echoes."""

from __future__ import annotations

from starlette.endpoints import WebSocketEndpoint
from starlette.websockets import WebSocket

from tests.integrations.site import site


class Echo(WebSocketEndpoint):
    """Echoes each message."""

    encoding = "text"

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)


app = site(Echo)
