"""The store loses data: what homes still have is repaired, the rest is reset, never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from tests.unit.server.stored.conftest import Processes, processes, shout, until
from tests.unit.server.stored.test_deaths import tell
from transport import Channel, Limits, SessionReset
from transport.protocol.journal import Refusal, Write
from transport.stores.journaled import Outcome
from transport.testing import Page, drive
from transport.testing.store_data import Data
from transport.testing.store_model import StoreModel

GRACE = 20.0
"""Seconds after which the grace of a store that is new, or was lost, is over."""

LOSSES: dict[str, Callable[[StoreModel], None]] = {
    "flushed": lambda store: store.forget_all(),
    "restarted empty": lambda store: store.restart(Data()),
    "restarted": lambda store: store.restart(),
}


async def at_first(each: Processes, stack: AsyncExitStack, transport: str = "websocket") -> Page:
    """Open a page whose session is at the first process."""
    await asyncio.sleep(GRACE)
    each.go_to(0)
    return await stack.enter_async_context(drive(each.cluster, transport=transport))


@pytest.mark.parametrize("loss", LOSSES)
async def test_idle_sessions_survive_the_loss_of_the_store(loss: str) -> None:
    async with processes() as each, AsyncExitStack() as stack:
        pages = [await at_first(each, stack, one) for one in ("websocket", "longpoll")]
        for page in pages:
            await tell(page, "a")
        LOSSES[loss](each.store)
        await asyncio.sleep(GRACE)
        each.cluster.kill(0)
        each.go_to(1)
        for page in pages:
            await tell(page, "b")
        assert each.resumed == [False, False, True, True]


async def test_numbers_given_again_reset_the_session() -> None:
    async with processes() as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        saved = each.store.data.copy()
        await tell(page, "b")
        each.cluster.kill(0)
        each.store.restart(saved)
        each.go_to(1)
        with pytest.raises(SessionReset) as reset:
            await page.receive(within=60)
        assert reset.value.reason == "store_lost"
        await tell(page, "c")


async def test_old_data_that_has_everything_resets_nothing() -> None:
    async with processes() as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        await asyncio.sleep(1.0)
        each.cluster.kill(0)
        each.store.restart(each.store.data.copy())
        each.go_to(1)
        await tell(page, "b", within=60)
        assert each.resumed == [False, True]


async def test_old_data_harms_no_session_whose_home_lives() -> None:
    async with processes() as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        saved = each.store.data.copy()
        await tell(page, "b")
        each.store.restart(saved)
        await tell(page, "c")
        await asyncio.sleep(GRACE)
        each.cluster.kill(0)
        each.go_to(1)
        await tell(page, "d", within=60)
        assert each.resumed == [False, True]


async def test_handled_messages_that_are_forgotten_reset_the_session() -> None:
    """RES-5: the client has nothing left of what the store does not know as handled."""

    async def listen(channel: Channel) -> None:
        async for _ in channel:
            pass

    async with processes(listen) as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await page.send("a")
        await asyncio.sleep(1.0)
        saved = each.store.data.copy()
        await page.send("b")
        await asyncio.sleep(1.0)
        each.cluster.kill(0)
        each.store.restart(saved)
        each.go_to(1)
        with pytest.raises(SessionReset) as reset:
            await page.receive(within=60)
        assert reset.value.reason == "rewound"


async def test_grace_tells_no_session_as_unknown() -> None:
    """The home of the session is gone, but the store has just lost all: nobody knows that yet."""
    async with processes() as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        each.cluster.kill(0)
        each.go_to(1)
        each.store.forget_all()
        began = asyncio.get_running_loop().time()
        with pytest.raises(SessionReset):
            await page.receive(within=60)
        assert asyncio.get_running_loop().time() - began > 8


async def test_process_that_was_stopped_starts_no_grace() -> None:
    async with processes(shout, 3) as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        birth = each.store.data.birth
        each.cluster.stop(0)
        each.go_to(1)
        page.cut()
        assert await page.resume(within=60)
        each.cluster.go_on(0)
        await asyncio.sleep(2.0)
        await tell(page, "b")
        assert each.store.data.birth == birth
        assert not any(each.cluster[index].stores[0].in_grace for index in range(3))
        assert not each.runners(0)


async def test_session_that_begins_in_a_loss_is_repaired() -> None:
    """The process learns of the loss when the store has answered, but before the session lives."""
    async with processes() as each:
        await asyncio.sleep(GRACE)
        each.go_to(0)
        page = Page(each.cluster)
        each.store.topics.pause()
        opening = asyncio.create_task(page.resume())
        await until(lambda: each.store.data.sessions)
        each.store.forget_all()
        await asyncio.sleep(1.0)
        each.store.topics.resume()
        await opening
        await asyncio.sleep(GRACE)
        each.cluster.kill(0)
        each.go_to(1)
        await tell(page, "a")
        assert each.resumed == [False, True]
        await page.stop()


async def test_home_that_has_lapsed_repairs_nothing_in_the_grace() -> None:
    """Another process has claimed its session in what the store has lost: that one repairs it."""
    async with processes(shout, 3) as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        [lost] = each.runners(0)
        each.cluster.stop(0)
        each.go_to(1)
        page.cut()
        assert await page.resume(within=60)
        await tell(page, "b")
        each.cluster.stop(1)
        each.store.forget_all()
        each.cluster.go_on(0)
        await asyncio.sleep(3.0)
        assert page.id is not None
        assert each.store.image(page.id) is None
        assert lost.session.paused
        each.cluster.go_on(1)
        await asyncio.sleep(3.0)
        image = each.store.image(page.id)
        assert image is not None
        assert (image.home, image.handled) == (each.cluster[1].stores[0].name, 2)
        await asyncio.sleep(GRACE)
        assert not each.runners(0)
        await tell(page, "c")


async def test_doubtful_session_is_not_written_again_and_again() -> None:
    """The machine of its process was suspended: its lease is not renewed yet, but the store takes
    what is written."""
    async with processes() as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        await asyncio.sleep(0.1)
        written: list[str] = []
        write = each.store.write

        def count(session_id: str, change: Write, limits: Limits) -> Outcome:
            written.append(session_id)
            return Refusal.FENCED if len(written) > 20 else write(session_id, change, limits)

        vars(each.store)["write"] = count
        [store], [runner] = each.cluster[0].stores, each.runners(0)
        store.slept += 7.0
        assert runner.driver.journal is not None
        runner.driver.journal.check_lease()
        assert runner.driver.try_send('"x"', 3)
        assert await page.receive(within=10) == "x"
        await tell(page, "b")
        assert len(written) < 10


async def test_session_that_was_healed_has_not_expired() -> None:
    """When its client was seen last is stored with it, also if it was opened long before."""
    async with processes(limits=Limits(ttl=61.0)) as each, drive(each.cluster) as page:
        for _ in range(5):
            await asyncio.sleep(25)
            await tell(page, "a")
        assert page.id is not None
        each.store.forget(page.id)
        await tell(page, "b")
        await asyncio.sleep(2)
        each.cluster.kill(each.home)
        await tell(page, "c")
        assert each.resumed == [False, True]


@pytest.mark.parametrize("transport", ["websocket", "longpoll"])
async def test_session_whose_home_lives_is_not_unknown(transport: str) -> None:
    """The store has lost its record only, which its home has not noticed."""
    async with processes(count=3) as each, AsyncExitStack() as stack:
        page = await at_first(each, stack, transport)
        await tell(page, "a")
        await asyncio.sleep(1.0)
        assert page.id is not None
        each.store.forget(page.id)
        each.go_to(1)
        page.cut()
        assert await page.resume()
        assert each.store.image(page.id) is not None
        await tell(page, "b")
        assert (each.home, each.resumed) == (0, [False])


async def test_lost_session_is_not_unknown_while_a_process_is_silent() -> None:
    """It may be that process which has the session."""
    async with processes(count=3) as each, AsyncExitStack() as stack:
        page = await at_first(each, stack)
        await tell(page, "a")
        assert page.id is not None
        each.cluster.stop(0)
        each.store.forget(page.id)
        each.go_to(1)
        page.cut()
        asyncio.get_running_loop().call_later(4.0, each.cluster.go_on, 0)
        assert await page.resume(within=30)
        await tell(page, "b")
        assert each.resumed == [False]
