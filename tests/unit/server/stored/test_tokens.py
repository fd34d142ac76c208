"""The tokens of sessions that any process may go on with."""

from __future__ import annotations

import asyncio

from tests.unit.server.stored.conftest import processes, until
from tests.unit.server.stored.test_deaths import tell
from transport.testing import Page


async def test_token_is_good_if_the_secret_changes_in_an_open() -> None:
    async with processes() as each:
        await asyncio.sleep(20)
        each.store.stop()
        page = Page(each.cluster)
        opening = asyncio.create_task(page.resume())
        await asyncio.sleep(0.1)
        each.store.data.secret = b"another".ljust(32)
        each.store.restart()
        await opening
        page.cut()
        assert await page.resume()
        await tell(page, "a")
        await page.stop()


async def test_token_is_good_if_the_secret_is_lost_after_an_open() -> None:
    """The process that began the session is gone, and the others have another secret."""
    async with processes() as each:
        await asyncio.sleep(20)
        each.go_to(0)
        each.store.delay = 0.2
        page = Page(each.cluster)
        opening = asyncio.create_task(page.resume(within=60))
        await until(lambda: each.store.data.sessions)
        each.cluster.kill(0)
        each.store.data.secret = b"another".ljust(32)
        each.store.restart()
        each.go_anywhere()
        await opening
        page.cut()
        assert await page.resume()
        await tell(page, "a")
        await page.stop()
