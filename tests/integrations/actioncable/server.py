"""A small server of Action Cable's protocol: welcome, subscriptions, messages, pings.

A channel sends back what it is told.
"""

from __future__ import annotations

import json
import time

import anyio
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site

_PROTOCOL = "actioncable-v1-json"
_PING = 3
"""Seconds between pings, as Rails has them."""


async def _ping(websocket: WebSocket) -> None:
    while True:
        await websocket.send_json({"type": "ping", "message": int(time.time())})
        await anyio.sleep(_PING)


async def _cable(websocket: WebSocket) -> None:
    await websocket.accept(_PROTOCOL)
    await websocket.send_json({"type": "welcome"})
    subscribed: set[str] = set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ping, websocket)
        async for text in websocket.iter_text():
            command = json.loads(text)
            answer = {"identifier": (identifier := command["identifier"])}
            if command["command"] == "message":
                await websocket.send_json({**answer, "message": json.loads(command["data"])})
            elif identifier not in subscribed:  # the page asks again every 0.5 s
                subscribed.add(identifier)
                await websocket.send_json({**answer, "type": "confirm_subscription"})
        tasks.cancel_scope.cancel()


app = site(Router([WebSocketRoute("/cable", _cable)]))
