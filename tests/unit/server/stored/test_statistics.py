"""What a hub tells of the store that its processes share."""

from __future__ import annotations

import asyncio

from tests.unit.server.stored.conftest import processes
from transport.testing import drive


async def test_statistics_tell_how_the_store_fares() -> None:
    async with processes() as each, drive(each.cluster) as page:
        each.store.delay = 0.001
        await page.send("a")
        await page.receive(within=30)
        before = (await each.hub(0).statistics()).store
        assert before is not None
        assert (before.state, before.takeovers, before.flight > 0) == ("ok", 0, True)
        each.cluster.kill(each.home)
        await page.send("b")
        await page.receive(within=60)
        each.store.stop()
        await asyncio.sleep(10)
        after = (await each.hub(each.home).statistics()).store
        assert after is not None
        assert (after.state, after.takeovers) == ("gone", 1)
