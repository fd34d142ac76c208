"""The home of a session dies, and another process goes on with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.server.stored.conftest import each_transport, processes, shout, until
from transport import Channel, ChannelClosed, SessionReset
from transport.stores.remote.times import Times
from transport.testing import Page, drive


async def tell(page: Page, message: str, within: float = 30.0) -> None:
    await page.send(message)
    assert await page.receive(within=within) == message.upper()


@each_transport
async def test_session_survives_the_kill_of_its_home(transport: str) -> None:
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        name = page.id
        await tell(page, "a")
        home = each.home
        each.cluster.kill(home)
        await tell(page, "b")
        assert (each.home, page.id, each.resumed) == (1 - home, name, [False, True])


@each_transport
async def test_messages_of_both_sides_survive_a_kill(transport: str) -> None:
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        for number in range(40):
            await page.send(f"m{number}")
            if number % 10 == 5:
                await each.cluster.start()
                await until(lambda: each.has_home)
                each.cluster.kill(each.home)
        received = [await page.receive(within=60) for _ in range(40)]
        assert received == [f"M{number}" for number in range(40)]


@each_transport
async def test_kill_of_an_edge_moves_no_session(transport: str) -> None:
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        await tell(page, "a")
        home = each.home
        each.cluster.kill(1 - home)
        await tell(page, "b")
        assert (each.home, each.resumed) == (home, [False])


@each_transport
async def test_process_that_claims_and_stops_hands_over(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to stop while the store has its claim."""
    async with (
        processes(count=3) as each,
        drive(each.cluster, transport=transport) as page,
    ):
        await tell(page, "a")
        home = each.home
        second, third = (index for index in range(3) if index != home)
        runtime = each.hub(second)._lifecycle.current
        assert runtime is not None
        registry = runtime.registry
        assert registry.journals is not None
        claim = registry.journals.claim

        async def claim_and_stop(*where: Any) -> Any:
            image = await claim(*where)
            registry.begin_drain()
            each.go_to(third)
            return image

        monkeypatch.setattr(registry.journals, "claim", claim_and_stop)
        each.go_to(second)
        each.cluster.kill(home)
        await tell(page, "b")
        assert registry.draining
        await until(lambda: not each.runners(second))
        assert len(each.runners(third)) == 1


@each_transport
async def test_shut_down_process_gives_its_sessions_up(transport: str) -> None:
    """Its clients are back soon, as they are few."""
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        await tell(page, "a")
        await asyncio.sleep(Times().grace)  # of a store that is new
        home = each.home
        began = asyncio.get_running_loop().time()
        await each.cluster.shut_down(home)
        await tell(page, "b", within=5.0)
        assert (each.home, each.resumed) == (1 - home, [False, True])
        assert asyncio.get_running_loop().time() - began < 1


@each_transport
async def test_client_that_a_stopping_process_refuses_is_soon_back(transport: str) -> None:
    """As it may be sent there again; others can have its session at once."""
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        await tell(page, "a")
        await asyncio.sleep(Times().grace)  # of a store that is new
        home = each.home
        each.go_to(home)
        runtime = each.hub(home)._lifecycle.current
        assert runtime is not None
        runtime.registry.begin_drain()
        async with asyncio.timeout(10):
            while not (await each.hub(home).statistics()).refused:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        each.go_to(1 - home)
        began = asyncio.get_running_loop().time()
        await tell(page, "b", within=10.0)
        assert asyncio.get_running_loop().time() - began < 1


@each_transport
async def test_client_of_a_stopping_edge_is_soon_back(transport: str) -> None:
    """Its session is in another process, which serves it all the time."""
    async with processes() as each, drive(each.cluster, transport=transport) as page:
        await tell(page, "a")
        edge = 1 - each.home
        each.go_to(edge)
        page.cut()
        await page.resume()
        await tell(page, "b")
        began = asyncio.get_running_loop().time()
        await each.cluster.shut_down(edge)
        each.go_to(1 - edge)
        await tell(page, "c", within=10.0)
        assert asyncio.get_running_loop().time() - began < 1


async def test_nothing_is_shown_before_it_is_stored() -> None:
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        each.store.pause()
        await page.send("b")
        with pytest.raises(TimeoutError):
            await page.receive(within=1.0)
        each.store.resume()
        assert await page.receive(within=0.1) == "B"


async def test_message_that_was_not_stored_is_handled_again() -> None:
    handled: list[str] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            handled.append(str(message))
            await channel.send(str(message).upper())

    async with processes(handle) as each, drive(each.cluster) as page:
        await tell(page, "a")
        each.store.pause()
        await page.send("b")
        await until(lambda: handled == ["a", "b"])
        each.cluster.kill(each.home)
        each.store.resume()
        assert await page.receive(within=60) == "B"
        assert handled == ["a", "b", "b"] or handled == ["a", "b"]
        with pytest.raises(TimeoutError):
            await page.receive(within=15.0)


@each_transport
async def test_close_survives_a_kill(transport: str) -> None:
    async def bye(channel: Channel) -> None:
        await channel.receive()
        await channel.send("last")
        await channel.close(4001, "bye")

    async with processes(bye) as each, drive(each.cluster, transport=transport) as page:
        page.stop_reading()
        await page.send("x")
        home = each.home
        await until(lambda: not page.connected or each.store.data.sessions[page.id or ""])
        await asyncio.sleep(0.5)
        each.cluster.kill(home)
        page.read_on()
        assert await page.receive(within=60) == "last"
        with pytest.raises(ChannelClosed) as closed:
            await page.receive(within=30)
        assert (closed.value.code, closed.value.reason) == (4001, "bye")
        assert each.resumed == [False]


@each_transport
async def test_process_that_goes_on_has_lost_its_sessions(transport: str) -> None:
    """A zombie ends no session, and its handler is cancelled."""
    cancelled: list[str] = []

    async def handle(channel: Channel) -> None:
        try:
            await shout(channel)
        except asyncio.CancelledError:
            cancelled.append(channel.id)
            raise

    async with processes(handle) as each, drive(each.cluster, transport=transport) as page:
        await tell(page, "a")
        home = each.home
        each.go_to(1 - home)
        each.cluster.stop(home)
        page.cut()
        assert await page.resume(within=60)
        await tell(page, "b")
        each.cluster.go_on(home)
        await until(lambda: cancelled == [page.id])
        await until(lambda: not each.runners(home))
        await tell(page, "c")
        assert each.resumed == [False, True]


async def test_process_stopped_for_less_than_its_lease_goes_on() -> None:
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        home = each.home
        each.cluster.stop(home)
        await page.send("b")
        await asyncio.sleep(4.0)
        each.cluster.go_on(home)
        assert await page.receive(within=30) == "B"
        assert each.resumed == [False]


async def test_store_that_lost_all_is_healed_by_the_homes() -> None:
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        each.store.forget_all()
        await tell(page, "b")
        await asyncio.sleep(20)
        await tell(page, "c")
        each.cluster.kill(each.home)
        await tell(page, "d", within=60)
        assert each.resumed == [False, True]


async def test_session_lost_with_its_home_and_the_store_is_reset() -> None:
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        each.cluster.kill(each.home)
        each.store.forget_all()
        with pytest.raises(SessionReset):
            await page.receive(within=60)
        await tell(page, "b")


async def test_home_that_stood_still_proves_nothing_to_an_older_store() -> None:
    """It waits until the home that has claimed the session since has written again."""
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        home = each.home
        before = each.store.data.copy()
        each.go_to(1 - home)
        each.cluster.stop(home)
        page.cut()
        assert await page.resume(within=60)
        await tell(page, "b")
        each.store.restart(before)
        each.cluster.go_on(home)
        for _ in range(40):
            await asyncio.sleep(0.25)
            assert all(runner.session.paused for runner in each.runners(home))
        await until(lambda: not each.runners(home))
        await tell(page, "c")
        assert each.resumed == [False, True]


async def test_edge_asks_the_new_home_of_a_session() -> None:
    """It remembers the one that died; the client need not open the session once more."""
    async with processes(count=3) as each, drive(each.cluster, transport="sse") as page:
        home = each.home
        edge, other = (home + 1) % 3, (home + 2) % 3
        await asyncio.sleep(10)  # the store is new no longer
        each.go_to(edge)
        await tell(page, "a")
        each.go_to(other)
        each.cluster.kill(home)
        await until(lambda: page.connected and each.has_home)
        [runner] = each.runners(other)
        attach = runner.session.attachments.confirmed
        each.go_to(edge)
        await tell(page, "b")
        assert each.home == other
        assert runner.session.attachments.confirmed == attach
