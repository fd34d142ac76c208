"""A small server of STOMP 1.2, which sends each message back to the client that sent it."""

from __future__ import annotations

import anyio
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site

_HEART_BEAT = 10
"""Seconds between the server's heart-beats, and the most between a client's, as brokers have it."""


def _frame(command: str, body: str = "", **headers: str) -> str:
    lines = [f"{name.replace('_', '-')}:{value}" for name, value in headers.items()]
    return "\n".join([command, *lines, "", f"{body}\0"])


async def _beat(websocket: WebSocket) -> None:
    while True:
        await anyio.sleep(_HEART_BEAT)
        await websocket.send_text("\n")


async def _broker(websocket: WebSocket) -> None:
    await websocket.accept("v12.stomp")
    count = 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_beat, websocket)
        async for text in websocket.iter_text():
            head, _, body = text.partition("\n\n")
            command, *lines = head.split("\n")
            headers = dict(line.split(":", 1) for line in lines if line)
            if command == "CONNECT":
                beats = f"{_HEART_BEAT * 1000},{_HEART_BEAT * 1000}"
                await websocket.send_text(_frame("CONNECTED", version="1.2", heart_beat=beats))
            elif command == "SEND":
                count += 1
                place = {"destination": headers["destination"], "subscription": "numbers"}
                message = _frame("MESSAGE", body.rstrip("\0"), message_id=str(count), **place)
                await websocket.send_text(message)
        tasks.cancel_scope.cancel()


app = site(Router([WebSocketRoute("/stomp", _broker)]))
