"""A client that leaves an edge: nothing of it stays there, and what it sent reaches the home."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message

from tests.support.clients.frame_client import frame_client
from tests.support.counted import counted
from tests.unit.server.relay.conftest import DEADLINE, on_both_buses, poll
from tests.unit.server.relay.test_edges import resuming
from transport import Channel
from transport.testing import lines
from transport.testing.asgi import scope_of

MakeCluster = Callable[..., Any]
each_place = pytest.mark.parametrize("is_foreign", [True, False])


@on_both_buses
@each_place
async def test_stream_that_its_client_leaves_ends(
    make_cluster: MakeCluster, is_foreign: bool
) -> None:
    """Otherwise its request runs for ever, and a server that stops waits for it."""
    sent: list[Message] = []
    has_left = asyncio.Event()

    async def send(message: Message) -> None:
        sent.append(message)

    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        asked = [{"type": "http.request", "body": lines(resuming(first, 2)), "more_body": False}]

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await has_left.wait()
            return {"type": "http.disconnect"}

        headers = {"content-type": "application/x-ndjson"}
        scope = scope_of("http", "/sse", headers, method="POST")
        request = asyncio.create_task((b if is_foreign else a)(scope, receive, send))
        await poll(lambda: len(sent) > 1)
        has_left.set()
        await request
        await poll(lambda: counted(a).connections["sse"] == 0)


@on_both_buses
@each_place
async def test_messages_before_a_farewell_are_handled(
    make_cluster: MakeCluster, is_foreign: bool
) -> None:
    """More than may be under way at a time; the client closes its WebSocket at once."""
    handled: list[Any] = []
    returned = asyncio.Event()

    async def keep(channel: Channel) -> None:
        handled.extend([message async for message in channel])
        returned.set()

    async with asyncio.timeout(DEADLINE), make_cluster(keep) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        frame = resuming(first, 2)
        async with frame_client(b if is_foreign else a, "websocket", frame) as second:
            await second.confirm()
            await second.send(*([number, 0, number] for number in range(1, 9)))
            close = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 8, "ack": 0}
            await second.send(close)
            second.socket.leave()  # type: ignore[attr-defined]
            await returned.wait()
        assert handled == list(range(1, 9))


@on_both_buses
@each_place
async def test_poll_that_its_client_leaves_is_not_answered(
    make_cluster: MakeCluster, is_foreign: bool
) -> None:
    """What is sent next waits for another one."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        frame = resuming(first, 2)
        async with frame_client(b if is_foreign else a, "longpoll", frame) as second:
            await second.confirm()
            [runner] = a._lifecycle.current.registry.runners
            [attachment] = runner.session.attachments.live
            left = asyncio.create_task(second.frame())
            await poll(lambda: attachment.writable)
            left.cancel()
            await poll(lambda: not attachment.writable)
            [channel] = a.channels
            await channel.send("x")
            assert await second.data() == ["x"]
