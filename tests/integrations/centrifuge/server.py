"""A small server of Centrifugo's JSON protocol: connect, subscribe, publish, ping.

A publication goes to the subscribed connection that published it.
"""

from __future__ import annotations

import json
from typing import Any

import anyio
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site

PING = 25
"""Seconds between pings, as Centrifugo has them."""


def replies(command: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the server sends for a command of a page. A pong has no answer."""
    match command:
        case {"connect": _, "id": number}:
            answer = {"client": "page", "version": "0", "ping": PING, "pong": True}
            return [{"id": number, "connect": answer}]
        case {"subscribe": _, "id": number}:
            return [{"id": number, "subscribe": {}}]
        case {"publish": {"channel": channel, "data": data}, "id": number}:
            push = {"push": {"channel": channel, "pub": {"data": data}}}
            return [push, {"id": number, "publish": {}}]
        case _:
            return []


async def _ping(websocket: WebSocket) -> None:
    while True:
        await anyio.sleep(PING)
        await websocket.send_text("{}")


async def _connection(websocket: WebSocket) -> None:
    await websocket.accept()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_ping, websocket)
        async for text in websocket.iter_text():
            commands = map(json.loads, text.splitlines())
            answers = [json.dumps(reply) for each in commands for reply in replies(each)]
            if answers:
                await websocket.send_text("\n".join(answers))
        tasks.cancel_scope.cancel()


app = site(Router([WebSocketRoute("/connection/websocket", _connection)]))
