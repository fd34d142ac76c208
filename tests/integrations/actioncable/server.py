"""A small server of Action Cable's protocol: welcome, subscriptions, messages, pings.

A channel sends back what it is told.
"""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site

_PROTOCOL = "actioncable-v1-json"
_PING = 3
"""Seconds between pings, as Rails has them."""


def _answer(command: dict[str, Any]) -> dict[str, Any]:
    if command["command"] == "message":
        return {"message": json.loads(command["data"])}
    return {"type": "confirm_subscription"}


async def _ping(websocket: WebSocket) -> None:
    while True:
        await websocket.send_json({"type": "ping", "message": int(time.time())})
        await anyio.sleep(_PING)


async def _cable(websocket: WebSocket) -> None:
    await websocket.accept(_PROTOCOL)
    await websocket.send_json({"type": "welcome"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ping, websocket)
        async for text in websocket.iter_text():
            command = json.loads(text)
            await websocket.send_json({"identifier": command["identifier"], **_answer(command)})
        tasks.cancel_scope.cancel()


app = site(Router([WebSocketRoute("/cable", _cable)]))
