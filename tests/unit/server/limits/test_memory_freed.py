"""A session that has ended is charged for nothing, however it ends (section 12)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.support.clients.frame_client import (
    TRANSPORTS,
    Ended,
    FrameClient,
    frame_client,
    open_frame,
)
from tests.support.counted import counted
from transport import Channel, Hub, Limits
from transport.server.memory import SESSION_COST, Memory

MESSAGES = ["x" * 1000] * 150
LIMITS = Limits(ttl=61, opens_per_second=10_000, sessions_per_address=10_000)
LONG = 300.0
"""Seconds after which every session has ended, and its handler, too."""

Handler = Callable[[Channel], Awaitable[None]]
End = Callable[[FrameClient], Awaitable[None]]


# What handlers do, with messages that they have not read


async def returns(channel: Channel) -> None:
    await asyncio.sleep(1)


async def raises(channel: Channel) -> None:
    await channel.receive()
    raise ValueError


async def closes(channel: Channel) -> None:
    await channel.receive()
    await asyncio.sleep(1)
    await channel.close()
    await asyncio.sleep(2)


async def never_returns(channel: Channel) -> None:
    await channel.receive()
    await asyncio.sleep(10_000)


async def sends(channel: Channel) -> None:
    while True:
        await channel.send("y" * 10_000)


HANDLERS: list[Handler] = [returns, raises, closes, never_returns, sends]


# What clients do


async def drop(client: FrameClient) -> None:
    """Go away in silence; the session expires."""


async def close(client: FrameClient) -> None:
    last = len(MESSAGES)
    close = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": last, "ack": 0}
    await client.send(close)


async def leave(client: FrameClient) -> None:
    await client.send({"type": "leave"})


async def acknowledge_too_much(client: FrameClient) -> None:
    await client.send({"type": "ack", "ack": 10**9})


async def wait(client: FrameClient) -> None:
    await asyncio.sleep(LONG)


ENDS: list[End] = [drop, close, leave, acknowledge_too_much, wait]


async def converse(hub: Hub, transport: str, end: End) -> None:
    with suppress(Ended):
        async with frame_client(hub, transport, open_frame()) as client:
            await client.confirm()
            await client.send([1, 0, *MESSAGES])
            await asyncio.sleep(0.1)
            await end(client)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ended_session_holds_no_memory(transport: str, handler: Handler, end: End) -> None:
    hub = Hub(handler, limits=LIMITS)
    async with hub.lifespan():
        await converse(hub, transport, end)
        await asyncio.sleep(LONG)
        statistics = counted(hub)
    assert (statistics.opened, statistics.sessions, statistics.memory) == (1, 0, 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_overflown_session_holds_no_memory(transport: str) -> None:
    hub = Hub(never_returns, limits=LIMITS)
    async with hub.lifespan(), frame_client(hub, transport) as client:
        await client.confirm()
        await client.send([1, 0, *MESSAGES])
        await asyncio.sleep(0.1)
        while not counted(hub).resets["overflow"]:
            await hub.broadcast("y" * 100_000)
        await asyncio.sleep(LONG)
        assert counted(hub).memory == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_drained_session_holds_no_memory(transport: str) -> None:
    hub = Hub(never_returns, limits=LIMITS)
    async with hub.lifespan():
        await converse(hub, transport, drop)
        await hub.drain()
        await asyncio.sleep(LONG)
        assert counted(hub).memory == 0


@pytest.mark.parametrize("seed", range(3))
async def test_many_sessions_leave_no_memory_behind(seed: int) -> None:
    """Beside each other, and in any order."""
    chance = random.Random(seed)

    async def any_handler(channel: Channel) -> None:
        await chance.choice(HANDLERS)(channel)

    hub = Hub(any_handler, limits=LIMITS)
    async with hub.lifespan():
        async with asyncio.TaskGroup() as clients:
            for _ in range(40):
                transport = chance.choice(TRANSPORTS)
                clients.create_task(converse(hub, transport, chance.choice(ENDS)))
                await asyncio.sleep(chance.random())
        await asyncio.sleep(LONG)
        statistics = counted(hub)
    assert (statistics.opened, statistics.sessions, statistics.memory) == (40, 0, 0)


class Growing:
    """A session whose buffers are large, also after it has been removed."""

    def __init__(self) -> None:
        self.grant = 4096

    def footprint(self) -> int:
        return 10**6

    def reclaimable(self) -> int:
        return 0

    def free_memory(self) -> None:
        raise AssertionError("there is room")


def test_removed_member_asks_for_no_more() -> None:
    """Its connection may end after it, which asks again."""
    memory, member = Memory(2**30), Growing()
    memory.add(SESSION_COST)
    memory.grow(member)
    memory.remove(member, SESSION_COST)
    assert memory.used == 0
    assert member.footprint() <= member.grant
