"""A hub whose store says that other processes reach it too."""

from __future__ import annotations

from transport import Channel, Hub, MemoryStore


class SharedStore(MemoryStore):
    """A stand-in for a store over the network."""

    shared = True


async def _silent(channel: Channel) -> None:
    async for _ in channel:
        pass


app = Hub(_silent, store=SharedStore())
"""The whole application, with its lifespan."""
