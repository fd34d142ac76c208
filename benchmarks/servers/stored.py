"""This project's channel with its sessions in Redis, in one process or two."""

from __future__ import annotations

import os

from benchmarks.servers.onechannel import LIMITS, echoing
from transport import Channel, Hub, RedisStore

REDIS = os.environ["BENCHMARK_REDIS"]


async def sharing(channel: Channel) -> None:
    """Send each message to all clients."""
    group = lobby.group("lobby")
    await group.add(channel)
    async for message in channel:
        await group.send(message)


echo = Hub(echoing, store=RedisStore(REDIS), limits=LIMITS)
lobby = Hub(sharing, store=RedisStore(REDIS), limits=LIMITS)
