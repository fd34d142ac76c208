"""`Flights`: what the sessions of a process write is stored once, in order."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.support.journaled_sessions import JournaledSession
from tests.support.modelled_processes import (
    GRACE_IS_OVER,
    running,
    state,
    stored,
)
from transport.errors import StoreUnavailable
from transport.protocol.journal import Image, Refusal, Release, Write
from transport.stores.journaled import Failed
from transport.testing.store_model import StoreModel


async def test_messages_are_stored_once_in_order() -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        for number in range(20):
            session.send(f"message {number}")
            await asyncio.sleep(0.0 if number % 3 else 0.001)
        await session.until_stored()
    assert stored(model) == tuple(f"message {number}" for number in range(20))


async def test_sessions_share_a_flight() -> None:
    model = StoreModel()
    model.delay = 0.01
    async with running(model) as process:
        sessions = [await process.open(f"s{number}") for number in range(64)]
        began = asyncio.get_running_loop().time()
        for session in sessions:
            session.send("hello")
        for session in sessions:
            await session.until_stored()
        assert asyncio.get_running_loop().time() - began < 0.03
        assert 0.0 < process.store.statistics.flight < 0.03


@pytest.mark.parametrize("late", [1.0, 2.9, 3.5, 8.0])
async def test_write_that_runs_late_changes_nothing(late: float) -> None:
    """The repeated flight may arrive before the first one, or after it."""
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        model.hold_writes(late)
        for number in range(8):
            session.send(f"message {number}")
            await asyncio.sleep(0.7)
        await session.until_stored()
        await asyncio.sleep(late)
        assert set(session.outcomes) == {None}
    assert stored(model) == tuple(f"message {number}" for number in range(8))


async def test_flight_repeated_three_times_is_stored_once() -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        model.hold_writes(10.0, 5.0, 4.0)
        session.send("one", "two")
        await session.until_stored()
        session.send("three")
        await session.until_stored()
        await asyncio.sleep(10)
        assert process.told == []
    assert stored(model) == ("one", "two", "three")


async def test_pause_of_the_server_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "transport")
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        model.pause()
        for number in range(14):
            session.send(f"message {number}")
            await asyncio.sleep(0.5)
        assert process.told == ["lapsed"]
        assert process.store.is_lapsed()
        assert state(process) == "gone"
        model.resume()
        await session.until_stored()
        await process.until_told("renewed")
        assert state(process) == "ok"
        assert process.told == ["lapsed", "renewed"]
    assert stored(model) == tuple(f"message {number}" for number in range(14))
    events = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert sorted(events) == ["store_back", "store_gone", "store_quick", "store_slow"]


async def test_slow_flight_shows_in_statistics() -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        model.delay = 0.6
        session.send("hello")
        await asyncio.sleep(1.1)
        assert state(process) == "slow"
        model.delay = 0.0
        await session.until_stored()
        assert state(process) == "ok"


@pytest.mark.parametrize("refusal", ["OOM command not allowed", "MISCONF cannot write"])
async def test_server_that_refuses_writes_is_gone(
    refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        model.refusal = refusal
        session.send("hello")
        await process.until_told("lapsed")
        assert state(process) == "gone"
        assert refusal in caplog.text
        with pytest.raises(StoreUnavailable):
            await process.open("two")
        model.refusal = ""
        await session.until_stored()
        await process.until_told("renewed")
    assert stored(model) == ("hello",)


async def test_error_of_one_session_does_not_stop_the_others() -> None:
    model = StoreModel()
    async with running(model) as process:
        one, two = await process.open("one"), await process.open("two")
        model.broken["one"] = "WRONGTYPE"
        one.send("hello")
        two.send("hello")
        await two.until_stored()
        await one.until(lambda: one.is_lost)
        assert one.outcomes == [Failed("WRONGTYPE")]
        assert stored(model, "two") == ("hello",)


async def test_defect_of_one_session_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Defective(JournaledSession):
        def written(self, *_: object) -> None:
            raise LookupError

    model = StoreModel()
    async with running(model) as process:
        image = (await process.open("one")).image
        Defective(process.store, "one", image).send("hello")
        two = await process.open("two")
        two.send("hello")
        await two.until_stored()
        assert "written_failed channel=one" in caplog.text


async def test_loss_of_one_session_is_healed_at_its_next_write() -> None:
    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        session.send("one")
        await session.until_stored()
        model.forget("one")
        session.send("two")
        await session.until_stored()
        assert session.outcomes == [None, Refusal.GONE, None]
    assert stored(model) == ("one", "two")


async def test_two_homes_of_a_session_in_one_process_both_write() -> None:
    """One is given up, or was fenced; the other is what this process has claimed since."""
    model = StoreModel()
    async with running(model) as process:
        before = await process.open("one")
        await asyncio.sleep(GRACE_IS_OVER)
        image = await process.store.claim("one", process.store.name, 1)
        assert isinstance(image, Image)
        after = process.hold("one", image)
        before.end(Release())
        after.send("kept")
        await after.until_stored()
        await before.until(lambda: before.is_lost)
        assert before.outcomes == [Refusal.FENCED]
        assert stored(model) == ("kept",)


async def test_defect_of_a_session_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Defective(JournaledSession):
        def next_write(self) -> Write | None:
            raise LookupError

    model = StoreModel()
    async with running(model) as process:
        session = await process.open("one")
        process.store.wrote(Defective(process.store, "two", session.image))
        session.send("hello")
        await session.until_stored()
    assert "written_failed channel=two" in caplog.text
