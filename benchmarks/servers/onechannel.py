"""This project's channel.

Each hub is the application itself, as the bare callable is: a router in front of either would cost
the same. The limits per address are raised, because the generator has only one address.
"""

from __future__ import annotations

import asyncio

from benchmarks.servers.bare import BACKLOG
from transport import Channel, Hub, Limits

LIMITS = Limits(sessions_per_address=1_000_000, opens_per_second=1_000_000)


async def echoing(channel: Channel) -> None:
    """Send each message back to its sender."""
    async for message in channel:
        await channel.send(message)


async def sharing(channel: Channel) -> None:
    """Send each message to all clients."""
    group = lobby.group("lobby")
    await group.add(channel)
    async for message in channel:
        await group.send(message)


async def missing(channel: Channel) -> None:
    """Send 1,000 messages 0.2 s after the first one, by when the client has disconnected."""
    await channel.receive()
    await asyncio.sleep(0.2)
    for text in BACKLOG:
        await channel.send(text)
    async for _ in channel:
        pass


echo = Hub(echoing, limits=LIMITS)
lobby = Hub(sharing, limits=LIMITS)
backlog = Hub(missing, limits=LIMITS)
