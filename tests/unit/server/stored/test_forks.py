"""A home goes on with its session, and another had it meanwhile, of which the store has nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.server.stored.conftest import Processes, processes, shout
from tests.unit.server.stored.test_deaths import tell
from transport import SessionReset
from transport.testing import drive

GRACE = 20.0
"""Seconds after which the grace of a store that is new, or was lost, is over."""
LAPSE = 8.0
"""Seconds after which a process that does not reach the store has no lease."""


def push(each: Processes, index: int, message: str) -> None:
    """Let a process send a message to its only session."""
    [runner] = each.runners(index)
    assert runner.driver.try_send(f'"{message}"', len(message) + 2)


@pytest.mark.parametrize("loses_all", [True, False])
async def test_client_of_a_lost_home_is_told(*, loses_all: bool) -> None:
    """EPO-2: both homes have given a message the same number, so its client gets no other."""
    async with processes(shout, 3) as each:
        await asyncio.sleep(GRACE)
        each.go_to(0)
        async with drive(each.cluster) as page:
            await tell(page, "a")
            saved = each.store.data.copy()
            each.cluster.stop(0)
            each.go_to(1)
            page.cut()
            assert await page.resume(within=60)
            push(each, 1, "of the second home")
            assert await page.receive() == "of the second home"
            each.cluster.kill(1)
            if loses_all:
                each.store.forget_all()
            else:
                each.store.restart(saved)
            each.cluster.go_on(0)
            await asyncio.sleep(GRACE)
            assert each.home == 0
            push(each, 0, "of the first home")
            each.go_to(0)
            with pytest.raises(SessionReset) as reset:
                await page.receive(within=60)
            assert reset.value.reason == "store_lost"
            await tell(page, "c")


async def outage(each: Processes) -> None:
    """Let the store be gone until no process has a lease, and come back as another run."""
    each.store.stop()
    await asyncio.sleep(LAPSE)
    each.store.restart()
    await asyncio.sleep(GRACE)


@pytest.mark.parametrize("transport", ["websocket", "longpoll"])
async def test_outages_reset_no_session_of_a_living_home(transport: str) -> None:
    """Nobody had the sessions meanwhile, so that their clients go on, whatever they were told."""
    async with processes() as each:
        await asyncio.sleep(GRACE)
        each.go_to(0)
        async with drive(each.cluster, transport=transport) as page:
            await tell(page, "a")
            for message in ("b", "c"):
                await outage(each)
                await tell(page, message)
            each.cluster.kill(0)
            each.go_to(1)
            await tell(page, "d", within=60)
            await outage(each)
            await tell(page, "e", within=60)
            assert each.resumed == [False, True]


async def test_outage_cuts_no_idle_connection() -> None:
    """It ends when there is something to write on it: EPO-2."""
    async with processes() as each:
        await asyncio.sleep(GRACE)
        each.go_to(0)
        async with drive(each.cluster) as page:
            await tell(page, "a")
            link = page._driver.newest_link
            await outage(each)
            assert page._driver.newest_link is link
            await tell(page, "b")
            assert page._driver.newest_link is not link
            assert each.resumed == [False]
