"""This project's channel. Each hub is the application itself, as the bare callable is: a router in
front of either costs the same. The bounds on one address are raised, for the generator has but one.
"""

from __future__ import annotations

import asyncio

from benchmarks.servers.bare import BACKLOG
from transport import Channel, Hub, Limits

LIMITS = Limits(sessions_per_address=1_000_000, opens_per_second=1_000_000)


async def echoing(channel: Channel) -> None:
    """To who said it."""
    async for message in channel:
        await channel.send(message)


async def sharing(channel: Channel) -> None:
    """To all."""
    group = lobby.group("lobby")
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


echo = Hub(echoing, limits=LIMITS)
lobby = Hub(sharing, limits=LIMITS)
backlog = Hub(missing, limits=LIMITS)
