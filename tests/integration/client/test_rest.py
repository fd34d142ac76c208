"""Once the network is healed and nobody sends, client and server come to rest.

Each has what the other has sent, and knows that the other has it; the buffers are empty; and
nothing more is written than heartbeats and polls. (A timer that is set again and again for a time
that has passed stops the clock of these tests, which fails them.)
"""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, Hub, connect
from transport.client import Channel as ClientChannel

URL = "http://127.0.0.1:1/"
TRANSPORTS = ("websocket", "sse", "longpoll")
WATCHED = 100
"""Seconds for which both ends are watched at rest."""
MAX_WRITES = 100
"""In that time: of a poll and its answer, head and body are four writes, and after a poll was cut
the client asks for it to be held for 5 s only."""


async def chatter(channel: Channel) -> None:
    """Answer each message by as many as it says."""
    async for count in channel:
        assert isinstance(count, int)
        for number in range(count):
            await channel.send(number)


async def disturb(network: Network, channel: ClientChannel, chance: random.Random) -> None:
    """Let both sides send a few messages, and break something at a random moment meanwhile."""
    await channel.send(chance.randrange(4))
    await asyncio.sleep(chance.choice((0.0, 0.001, 0.05, 0.3)))
    match chance.randrange(4):
        case 0:
            network.cut()
        case 1:
            network.up = False
            network.cut()
            await asyncio.sleep(chance.uniform(0, 3))
            network.up = True
        case 2:
            channel.reconnect()
        case _:
            channel.transports = [chance.choice(TRANSPORTS)]


async def check_rest(network: Network, hub: Hub, channel: ClientChannel) -> None:
    """Wait until both ends are at rest, and check that they stay so."""
    (there,) = hub.channels

    def left() -> list[str]:
        mine, theirs = channel.statistics(), there.statistics()
        pairs = {
            "sent and received by the server": (mine.sent, theirs.received),
            "received and handled by the server": (theirs.received, theirs.handled),
            "handled and acknowledged": (theirs.handled, mine.acknowledged),
            "sent by the server and received": (theirs.sent, mine.received),
            "received and acknowledged": (mine.received, theirs.acknowledged),
            "in the buffers": (mine.buffered, theirs.buffered),
        }
        return [f"{what}: {one}, {other}" for what, (one, other) in pairs.items() if one != other]

    async with asyncio.timeout(15):  # before a heartbeat, whose POST may bring what was missing
        while channel.phase != "open" or left():  # noqa: ASYNC110 - it jumps
            await asyncio.sleep(0.05)
    assert channel.statistics().buffered == there.statistics().buffered_bytes == 0
    before = network.writes
    await asyncio.sleep(WATCHED)
    assert not left()
    assert network.writes - before <= MAX_WRITES


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("seed", range(8))
async def test_client_comes_to_rest_after_trouble(seed: int, transport: str) -> None:
    """NUM-4, ATT-3, MRK-3, MRK-6: on one transport, and after switches among all of them."""
    chance = random.Random(f"{seed} {transport}")
    hub = Hub(chatter)
    network = Network(hub)
    async with connect(URL, transports=[transport], trust_env=False) as channel:

        async def receive() -> None:
            async for _ in channel:
                pass

        receiving = asyncio.create_task(receive())
        for _ in range(6):
            await disturb(network, channel, chance)
            if chance.random() < 0.5:
                await check_rest(network, hub, channel)
        await check_rest(network, hub, channel)
        receiving.cancel()
