"""An item for a link that only one side has ends it there: nothing is dropped in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.support.clients.frame_client import frame_client
from tests.unit.server.relay.conftest import DEADLINE, poll, relay_of
from tests.unit.server.relay.test_edges import resuming

MakeCluster = Callable[..., Any]


async def test_frames_for_a_link_unknown_at_home_end_it(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            [link] = relay_of(a)._home._links.values()
            link.lost()
            await second.send([1, 0, "x"])
            assert (await second.ended()).code == 4411
        assert not relay_of(b).edge._links


async def test_frames_for_a_link_unknown_at_an_edge_end_it(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            await second.send([1, 0, "x"])
            assert await second.data() == ["x"]
            relay_of(b).edge._links.clear()
            [channel] = a.channels
            await channel.send("y")
            await poll(lambda: not relay_of(a)._home._links)
            [runner] = a._lifecycle.current.registry.runners
            assert not runner.session.attachments.live
