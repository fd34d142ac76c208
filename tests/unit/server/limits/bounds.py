"""Small limits, and handlers, for the tests of bounds."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.clients.frame_client import TRANSPORTS
from transport import Channel, Limits

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
around = pytest.mark.parametrize("beyond", [-1, 0, 1])

LIMITS = Limits(
    message=2000,
    depth=5,
    batch=10,
    window_messages=8,
    window_bytes=6000,
    sessions=5,
    sessions_per_subject=3,
    sessions_per_address=4,
)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def deaf(channel: Channel) -> None:
    await asyncio.sleep(10_000)
