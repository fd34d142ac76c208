"""The servers on python-engineio."""

from __future__ import annotations

import engineio

echoing = engineio.AsyncServer(async_mode="asgi")
sharing = engineio.AsyncServer(async_mode="asgi")
members: set[str] = set()


@echoing.on("message")
async def send_back(sid: str, data: str) -> None:
    await echoing.send(sid, data)


@sharing.on("connect")
async def connected(sid: str, environ: object) -> None:
    members.add(sid)


@sharing.on("disconnect")
async def disconnected(sid: str, reason: str) -> None:
    members.discard(sid)


@sharing.on("message")
async def to_all(sid: str, data: str) -> None:
    for member in list(members):
        await sharing.send(member, data)


echo = engineio.ASGIApp(echoing)
lobby = engineio.ASGIApp(sharing)
