"""A list that grows by an item for each form that is sent, as HTML for htmx 2 and htmx 4."""

from __future__ import annotations

from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site


class _List(WebSocketEndpoint):
    encoding = "json"

    async def on_receive(self, websocket: WebSocket, data: dict[str, str]) -> None:
        item = f"<li>{int(data['number'])}</li>"
        await websocket.send_text(f'<ol hx-swap-oob="beforeend:#list">{item}</ol>')


app = site(Router([WebSocketRoute("/list", _List)]))
