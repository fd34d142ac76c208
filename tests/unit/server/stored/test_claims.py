"""Who takes a session over, and when: the answer of the store was lost, hints are wrong."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.server.stored.conftest import Processes, each_transport, processes, until
from tests.unit.server.stored.test_deaths import tell
from transport import Channel, Limits, SessionReset
from transport.protocol.journal import Claim, epoch_of
from transport.stores.remote.times import Times
from transport.testing import Page, drive


def give(each: Processes, session_id: str, index: int) -> None:
    """Let the store give a session to a process that does not learn of it."""
    store = each.store
    image = store.image(session_id)
    assert image is not None
    [mine] = each.cluster[index].stores
    epoch = epoch_of(store.run, "given")
    claimed = Claim(image.home, image.fence, mine.name, store.run, epoch, 60_000)
    after = store.data.claim(session_id, claimed, Limits(), store.now)
    assert store.image(session_id) == after


async def resume(page: Page, within: float) -> None:
    """Resume a session, in that many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await page.resume()
    assert loop.time() - began < within


@each_transport
@pytest.mark.parametrize("at", [1, 2])
async def test_claim_whose_answer_is_lost_is_made_again(transport: str, at: int) -> None:
    async with processes(count=3) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster, transport=transport) as page:
            await tell(page, "a")
            page.cut()
            each.cluster.kill(0)
            assert page.id is not None
            give(each, page.id, 1)
            each.go_to(at)
            await resume(page, within=2.0)
            assert (each.home, each.resumed) == (at, [False, True])
            await tell(page, "b")


@each_transport
async def test_open_whose_answer_is_lost_gets_its_session(transport: str) -> None:
    async with processes(count=3) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        page = Page(each.cluster, transport=transport)
        each.store.delay = 0.2
        opening = asyncio.create_task(page.resume(within=3.0))
        await until(lambda: each.store.data.sessions)
        [store] = each.cluster[0].stores
        each.store.cut(store.name)
        each.go_to(1)
        await opening
        assert len(each.store.data.sessions) == 1
        await tell(page, "a")
        await page.stop()


@each_transport
async def test_open_whose_process_dies_gets_its_session(transport: str) -> None:
    async with processes(count=3) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        page = Page(each.cluster, transport=transport)
        each.store.delay = 0.2
        opening = asyncio.create_task(page.resume(within=4.0))
        await until(lambda: each.store.data.sessions)
        each.cluster.kill(0)
        each.store.delay = 0.0
        each.go_to(1)
        await opening
        assert len(each.store.data.sessions) == 1
        await tell(page, "a")
        await page.stop()


async def test_open_in_a_process_that_was_stopped_begins() -> None:
    """Its lease has ended when the store has the session, but nobody else knows of that."""
    async with processes(count=3) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        page = Page(each.cluster)
        each.store.delay = 0.05
        opening = asyncio.create_task(page.resume(within=60))
        await asyncio.sleep(0.06)
        each.cluster.stop(0)
        each.go_to(1)
        await asyncio.sleep(7.0)
        each.cluster.go_on(0)
        await opening
        await tell(page, "a", within=5.0)
        assert len(each.store.data.sessions) == 1
        await page.stop()


async def test_process_without_lease_gives_its_handlers_nothing() -> None:
    """It was stopped: what has arrived meanwhile is read before anything tells it of the lapse."""
    lapsed: list[bool] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            lapsed.append(each.cluster[each.home].stores[0].is_lapsed())
            await channel.send(str(message).upper())

    async with processes(handle) as each, drive(each.cluster) as page:
        await tell(page, "a")
        for turns in range(12):  # in one of them the handler is about to take the message
            await page.send("b")
            for _ in range(turns):
                await asyncio.sleep(0)
            home = each.home
            each.cluster.stop(home)
            await asyncio.sleep(7.0)
            each.cluster.go_on(home)
            assert await page.receive(within=30) == "B"
        assert lapsed == [False] * 13


async def test_clients_of_a_process_that_lost_their_session_go_on() -> None:
    async with processes() as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster) as page:
            await tell(page, "a")
            each.cluster.stop(0)
            await asyncio.sleep(7.0)
            assert page.id is not None
            give(each, page.id, 1)
            each.cluster.go_on(0)
            each.go_to(1)
            await tell(page, "b", within=5.0)
            assert each.resumed == [False, True]


@pytest.mark.parametrize("ends", ["kill", "shut_down"])
async def test_session_that_moves_often_does_not_expire(ends: str) -> None:
    """It is in no process for long enough to be touched, and its client is there all the time."""
    limits = Limits(ttl=61.0)
    async with processes(count=9, limits=limits) as each, drive(each.cluster) as page:
        await tell(page, "a")
        await asyncio.sleep(Times().grace)  # of a store that is new
        for _ in range(8):
            await asyncio.sleep(20)
            if ends == "kill":
                each.cluster.kill(each.home)
            else:
                await each.cluster.shut_down(each.home)
            await tell(page, "b")
        assert each.resumed == [False, *([True] * 8)]


@each_transport
async def test_client_that_was_away_for_too_long_learns_that(transport: str) -> None:
    """RES-1: no process has the session; the store still has its record."""
    limits = Limits(ttl=61.0)
    async with (
        processes(limits=limits) as each,
        drive(each.cluster, transport=transport) as page,
    ):
        await tell(page, "a")
        name = page.id
        await asyncio.sleep(Times().grace)
        page.cut()
        each.cluster.kill(each.home)
        await asyncio.sleep(61.0 + 31.0)
        assert name is not None
        assert each.store.image(name) is not None
        assert not await page.resume()
        with pytest.raises(SessionReset, match="expired"):
            await page.receive(within=10)
        await tell(page, "b")
        assert page.id != name
        assert each.resumed == [False, False]
