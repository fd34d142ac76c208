"""A worker that stops reports what its handlers did, and begins nothing that it cannot end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clients.frame_client import frame_client, try_open
from tests.unit.server.relay.conftest import DEADLINE, poll
from tests.unit.server.relay.test_edges import resuming
from transport import Channel, Hub, Identity
from transport.testing import opening

MakeCluster = Callable[..., Any]


async def stopping(hub: Hub) -> asyncio.Task[None]:
    """Begin to drain a hub; return the task that waits for its handlers."""
    task = asyncio.create_task(hub.drain())
    runtime = hub._lifecycle.current
    assert runtime is not None
    await poll(lambda: runtime.registry.draining)
    return task


@pytest.mark.parametrize("how", ["break", "return", "wait_closed"])
async def test_handler_that_returns_in_a_drain_has_handled(
    make_cluster: MakeCluster, how: str
) -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        async for _ in channel:
            working.set()
            if how == "wait_closed":
                await channel.wait_closed()
                return
            await go_on.wait()
            if how == "return":
                return
            break

    async with asyncio.timeout(DEADLINE), make_cluster(work, count=1) as cluster:
        [hub] = cluster.hubs
        async with frame_client(hub, "websocket") as client:
            await client.confirm()
            await client.send([1, 0, "x"], [2, 0, "y"])
            await working.wait()
            drain = await stopping(hub)
            go_on.set()
            reset = await client.control("reset")
            assert (reset["reason"], reset["handled"], reset["in_hand"]) == ("shutdown", 1, 1)
            await drain


async def test_handler_that_fails_in_a_drain_has_not_handled(make_cluster: MakeCluster) -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        await channel.receive()
        working.set()
        await go_on.wait()
        raise LookupError("a defect")

    async with asyncio.timeout(DEADLINE), make_cluster(work, count=1) as cluster:
        [hub] = cluster.hubs
        async with frame_client(hub, "websocket") as client:
            await client.confirm()
            await client.send([1, 0, "x"])
            await working.wait()
            drain = await stopping(hub)
            go_on.set()
            reset = await client.control("reset")
            assert (reset["reason"], reset["handled"], reset["in_hand"]) == ("shutdown", 0, 1)
            await drain


async def test_handler_that_cannot_send_in_a_drain_has_not_handled(
    make_cluster: MakeCluster,
) -> None:
    """It was interrupted at its message, and its reply is not delivered."""
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        async for message in channel:
            working.set()
            await go_on.wait()
            await channel.send(message)

    async with asyncio.timeout(DEADLINE), make_cluster(work, count=1) as cluster:
        [hub] = cluster.hubs
        async with frame_client(hub, "websocket") as client:
            await client.confirm()
            await client.send([1, 0, "x"])
            await working.wait()
            drain = await stopping(hub)
            go_on.set()
            reset = await client.control("reset")
            assert (reset["reason"], reset["handled"], reset["in_hand"]) == ("shutdown", 0, 1)
            await drain


async def test_close_of_a_client_is_answered_in_a_drain(make_cluster: MakeCluster) -> None:
    """CLS-2: by a close, though the worker stops meanwhile."""
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        async for _ in channel:
            working.set()
            await go_on.wait()

    async with asyncio.timeout(DEADLINE), make_cluster(work, count=1) as cluster:
        [hub] = cluster.hubs
        async with frame_client(hub, "websocket") as client:
            await client.confirm()
            close = {"type": "close", "code": 4000, "reason": "", "by": "app", "last": 1, "ack": 0}
            await client.send([1, 0, "x"], close)
            await working.wait()
            [runner] = hub._lifecycle.current.registry.runners
            await poll(lambda: runner.session.peer_close)
            drain = await stopping(hub)
            go_on.set()
            answer = await client.control("close")
            assert (answer["code"], answer["ack"]) == (4000, 1)
            await drain


async def test_open_that_meets_a_drain_begins_nothing(make_cluster: MakeCluster) -> None:
    """The drain begins while its credentials are checked, and would not end its session."""
    checking, go_on = asyncio.Event(), asyncio.Event()

    async def authenticate(connection: Any, credentials: Any) -> Identity:
        checking.set()
        await go_on.wait()
        return Identity("ada")

    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(count=1, authenticate=authenticate) as cluster,
    ):
        [hub] = cluster.hubs
        coming = asyncio.create_task(try_open(hub, "websocket", opening(credentials="x")))
        await checking.wait()
        drain = await stopping(hub)
        go_on.set()
        refused = await coming
        assert refused is not None
        assert refused.error["code"] == "unavailable"
        await drain


async def test_reset_follows_much_that_an_edge_has_to_read(make_cluster: MakeCluster) -> None:
    """The worker ends at once when its handlers have ended."""
    sent = asyncio.Event()

    async def much(channel: Channel) -> None:
        async for _ in channel:
            for _ in range(12):
                await channel.send("x" * 60_000)
            sent.set()

    async with asyncio.timeout(DEADLINE), make_cluster(much) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            reading = asyncio.create_task(second.ended())
            await second.send([1, 0, "x"])
            await sent.wait()
            await a.lifespan().__aexit__(None, None, None)
            ended = await reading
        assert (ended.frames[-1]["type"], ended.frames[-1]["reason"]) == ("reset", "shutdown")
