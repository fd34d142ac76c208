"""This project's channel, mounted as its README shows; only the bounds on one address are raised,
for the generator has but one.
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks.servers.bare import BACKLOG
from transport import Channel, Hub, Limits

LIMITS = Limits(sessions_per_address=1_000_000, opens_per_second=1_000_000)


async def echoing(channel: Channel) -> None:
    """To who said it."""
    async for message in channel:
        await channel.send(message)


async def sharing(channel: Channel) -> None:
    """To all."""
    group = lobby_hub.group("lobby")
    group.add(channel)
    async for message in channel:
        await group.send(message)


async def missing(channel: Channel) -> None:
    """Who leaves after a first message misses 1,000."""
    await channel.receive()
    await asyncio.sleep(0.2)
    for text in BACKLOG:
        await channel.send(text)
    async for _ in channel:
        pass


def _mounted(hub: Hub) -> Starlette:
    return Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)


lobby_hub = Hub(sharing, limits=LIMITS)
echo = _mounted(Hub(echoing, limits=LIMITS))
lobby = _mounted(lobby_hub)
backlog = _mounted(Hub(missing, limits=LIMITS))
