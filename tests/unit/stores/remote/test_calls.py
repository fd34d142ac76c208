"""`RemoteStore`: sessions are opened, found and claimed, and dead processes known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.modelled_processes import (
    GRACE_IS_OVER,
    running,
    stored,
)
from transport.errors import StoreUnavailable
from transport.protocol.journal import ClaimRefusal, End, Image, Refusal, Release
from transport.stores.journaled import GRACE, Ended, Found
from transport.stores.names import shorten
from transport.stores.remote.wire import Question, Take
from transport.testing import store_model
from transport.testing.store_model import StoreModel


async def test_repeated_opening_finds_its_session() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        session = await one.open("one")
        assert session.image.born > 0
        assert session.image.epoch == session.image.run == model.run
        again = await two.store.open("opening of one", "other", two.new_image())
        assert again == Found("one", one.store.name, 1)
        session.end(End(b"tombstone"))
        await session.until(lambda: session.is_lost)
        again = await two.store.open("opening of one", "other", two.new_image())
        assert again == Ended("one", b"tombstone")


async def test_claim_fences_the_home_before() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        before = await one.open("one")
        before.send("hello")
        await before.until_stored()
        assert await two.store.claim("one", one.store.name, 1) is GRACE
        await asyncio.sleep(GRACE_IS_OVER)
        assert await two.store.claim("one", two.store.name, 1) is ClaimRefusal.MOVED
        located = await two.store.locate("one")
        assert located is not None
        assert (located.home, located.fence, located.subject) == (one.store.name, 1, "ada")
        image = await two.store.claim("one", located.home, located.fence)
        assert isinstance(image, Image)
        assert image.payloads == ("hello",)
        after = two.hold("one", image)
        before.send("lost")
        after.send("kept")
        await after.until_stored()
        await before.until(lambda: before.is_lost)
        assert before.outcomes[-1] is Refusal.FENCED
        assert one.store.statistics.fenced == two.store.statistics.takeovers == 1
    assert stored(model) == ("hello", "kept")


async def test_long_subject_comes_back_as_it_is_stored() -> None:
    """As from Redis, which keeps a hash of it."""
    subject = "a subject of more than forty-four characters, as of LDAP"
    model = StoreModel()
    async with running(model) as process:
        image = replace(process.new_image(), subject=subject)
        await process.store.open("opening", "one", image)
        located = await process.store.locate("one")
        assert located is not None
        assert located.subject == shorten(subject)
        await asyncio.sleep(GRACE_IS_OVER)
        claimed = await process.store.claim("one", located.home, located.fence)
        assert isinstance(claimed, Image)
        assert claimed.subject == shorten(subject)


async def test_released_session_has_no_home() -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        session.send("hello")
        session.end(Release())
        await session.until(lambda: session.is_lost)
        located = await process.store.locate("one")
        assert located is not None
        assert located.home == ""
        assert await process.store.locate("two") is None


async def test_killed_process_is_dead_after_a_second() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await asyncio.sleep(GRACE_IS_OVER)
        assert not await one.store.is_dead(two.store.name)
        assert not await one.store.is_dead(one.store.name)
        two.model_store.vanish()
        began = asyncio.get_running_loop().time()
        assert await one.store.is_dead(two.store.name)
        assert asyncio.get_running_loop().time() - began < 1.1
        assert await one.store.is_dead("0123456789ab")


async def test_later_callers_do_not_wait_for_a_dead_process() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await asyncio.sleep(GRACE_IS_OVER)
        two.model_store.vanish()
        assert await one.store.is_dead(two.store.name)
        began = asyncio.get_running_loop().time()
        assert await one.store.is_dead(two.store.name)
        assert asyncio.get_running_loop().time() - began < 0.1


async def test_process_with_a_lost_subscription_is_not_dead() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await asyncio.sleep(GRACE_IS_OVER)
        model.deaf.add(two.store.name)
        assert not await one.store.is_dead(two.store.name)


async def test_nobody_is_dead_in_the_grace() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await asyncio.sleep(GRACE_IS_OVER)
        two.model_store.vanish()
        model.forget_all()
        assert not await one.store.is_dead(two.store.name)
        assert await one.store.locate("one") is None
        assert one.store.in_grace


async def test_stop_gives_the_lease_up() -> None:
    model = StoreModel()
    async with running(model) as one:
        async with running(model) as two:
            await asyncio.sleep(GRACE_IS_OVER)
            sessions = [await two.open(f"s{number}") for number in range(150)]
            for session in sessions:
                session.send("last")
            model.delay = 0.1
        assert await one.store.is_dead(two.store.name)
    for number in range(150):
        assert stored(model, f"s{number}") == ("last",)


async def test_cancelled_call_leaves_the_connection() -> None:
    model = StoreModel()
    model.delay = 0.1
    async with running(model) as process:
        calls = [asyncio.create_task(process.store.locate(f"s{number}")) for number in range(9)]
        await asyncio.sleep(0.05)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        connections = set(model.connections)
        await process.open("one")
        assert set(model.connections) == connections


async def test_call_over_a_cut_connection_is_answered() -> None:
    model = StoreModel()
    model.delay = 0.1
    async with running(model) as process:
        opening = asyncio.create_task(process.open("one"))
        await asyncio.sleep(0.15)
        model.cut(process.store.name)
        with pytest.raises(AssertionError):  # the first one was executed: it is found
            await opening
        found = await process.store.open("opening of one", "two", process.new_image())
        assert found == Found("one", process.store.name, 1)


async def test_call_to_a_silent_server_fails_in_3_s() -> None:
    model = StoreModel()
    async with running(model) as process:
        model.pause()
        began = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable, match="no answer"):
            await process.store.locate("one")
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)
        await process.until_told("lapsed")
        began = asyncio.get_running_loop().time()
        with pytest.raises(StoreUnavailable):
            await process.store.locate("one")
        assert asyncio.get_running_loop().time() == began
        model.resume()


async def test_many_claims_over_a_slow_network_keep_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A claim is answered with all messages of a session, and renewals use the same connection."""
    ask = store_model._Wire.ask

    async def ask_slowly(wire: Any, questions: Sequence[Question[Any]]) -> Sequence[Any]:
        await asyncio.sleep(0.2 * sum(isinstance(each, Take) for each in questions))
        return await ask(wire, questions)

    model = StoreModel()
    async with running(model) as one, running(model) as two:
        ids = [f"s{number}" for number in range(60)]
        for each in ids:
            await one.open(each)
        await asyncio.sleep(GRACE_IS_OVER)
        monkeypatch.setattr(store_model._Wire, "ask", ask_slowly)

        async def claim(session_id: str) -> None:
            while True:
                try:
                    located = await two.store.locate(session_id)
                    assert located is not None
                    home, fence = located.home, located.fence
                    if isinstance(await two.store.claim(session_id, home, fence), Image):
                        return
                except StoreUnavailable:
                    await asyncio.sleep(1)

        async with asyncio.timeout(60):
            await asyncio.gather(*map(claim, ids))
        assert two.told == []
