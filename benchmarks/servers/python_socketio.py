"""The servers on python-socketio."""

from __future__ import annotations

import socketio

echoing = socketio.AsyncServer(async_mode="asgi")
sharing = socketio.AsyncServer(async_mode="asgi")


@echoing.on("message")
async def send_back(sid: str, data: str) -> None:
    await echoing.send(data, to=sid)


@sharing.on("message")
async def to_all(sid: str, data: str) -> None:
    await sharing.send(data)


echo = socketio.ASGIApp(echoing)
lobby = socketio.ASGIApp(sharing)
