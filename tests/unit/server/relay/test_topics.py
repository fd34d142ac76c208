"""Groups, broadcasts and the other calls of a hub reach the channels of all its processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.clients.frame_client import FrameClient
from transport import Channel, Hub

DEADLINE = 30.0
MakeCluster = Callable[..., Any]


async def joins(channel: Channel) -> None:
    """Join the group that the first message names, then say so."""
    async for message in channel:
        await channel._hub.group(str(message)).add(channel)  # type: ignore[attr-defined]


class Members:
    """A handler whose channels join a group of the hub that serves them.

    Attributes:
        joined: how many have.
    """

    def __init__(self) -> None:
        self.hubs: list[Hub] = []
        self.joined = 0

    async def __call__(self, channel: Channel) -> None:
        [hub] = [hub for hub in self.hubs if any(each is channel for each in hub.channels)]
        await hub.group("lobby").add(channel)
        self.joined += 1
        async for message in channel:
            await hub.group("lobby").send(message)


async def numbered(client: FrameClient, count: int) -> list[Any]:
    """Return the next messages of a client."""
    received: list[Any] = []
    while len(received) < count:
        received += await client.data()
    return received
