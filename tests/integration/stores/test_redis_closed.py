"""Connections to Redis that have closed while nothing was read or written.

A transport of uvloop that has closed refuses what is written to it, with an error of its own; one
of asyncio takes it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import uvloop

from tests.support.clients.frame_client import frame_client
from tests.support.servers.redis import RedisServer
from transport import Channel, Hub, RedisStore

DEADLINE = 30.0


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": uvloop.new_event_loop})], ids=["uvloop"]
)
async def test_connections_that_have_closed_are_replaced(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions, groups and the bus go on, and nothing is taken for a defect."""

    async def serve(channel: Channel) -> None:
        room = hub.group("room")
        await room.add(channel)
        async for message in channel:
            await room.send(message)

    store = RedisStore(redis_server.url)
    made = watched(store.sessions.connections)
    hub = Hub(serve, store=store, name="closed")
    async with (
        asyncio.timeout(DEADLINE),
        hub.lifespan(),
        frame_client(hub, "websocket") as client,
    ):
        for number in (1, 2):
            await client.send([number, 0, number])
            assert await client.data() == [number]
            for connection in made:
                if (writer := connection._writer) is not None:
                    writer.transport.abort()
            await asyncio.sleep(0)  # they are closed after this turn of the loop
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def watched(connections: Any) -> list[Any]:
    """Return the connections that are made from now on."""
    made: list[Any] = []
    make = connections.make

    def remember() -> Any:
        made.append(make())
        return made[-1]

    connections.make = remember
    return made
