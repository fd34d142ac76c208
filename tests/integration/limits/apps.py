"""The application that hostile clients attack."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from transport import Channel, Hub, Limits

MIB = 1024 * 1024
MEMORY = int(os.environ.get("HOSTILE_MEMORY", "64")) * MIB


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


hub = Hub(echo, limits=Limits(memory=MEMORY))


async def statistics(request: Request) -> JSONResponse:
    counted = await hub.statistics()
    return JSONResponse(
        {
            "sessions": counted.sessions,
            "opened": counted.opened,
            "refused": counted.refused,
            "memory": counted.memory,
            "memory_reached": counted.memory_reached,
        }
    )


echoing = Starlette(
    routes=[Route("/statistics", statistics), Mount("/chat", hub)], lifespan=hub.lifespan
)
