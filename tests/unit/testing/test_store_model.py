"""`StoreModel`, and with it the rules of a store whose data is in a server: flights, lease, calls.

Time is virtual: what takes 20 seconds here takes none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.journaled_sessions import JournaledProcess, JournaledSession
from transport.errors import StoreUnavailable
from transport.limits import Limits
from transport.protocol.journal import ClaimRefusal, End, Image, Refusal, Release
from transport.stores.journaled import GRACE, Ended, Failed, Found
from transport.testing import JumpingEventLoop
from transport.testing.store_data import Data
from transport.testing.store_model import ModelStore, StoreModel
from transport.testing.suspension import Part

LIMITS = Limits()
GRACE_IS_OVER = 8.5


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}


class Process(JournaledProcess):
    def __init__(self, store: ModelStore) -> None:
        super().__init__(store)
        self.model_store = store


@asynccontextmanager
async def running(model: StoreModel) -> AsyncIterator[Process]:
    process = Process(model.connect(LIMITS))
    await process.store.start(process)
    try:
        yield process
    finally:
        await process.store.stop()


def stored(model: StoreModel, session_id: str = "one") -> tuple[Any, ...]:
    image = model.image(session_id)
    assert image is not None
    return image.payloads


def in_grace(process: Process) -> bool:
    return process.store.in_grace


def state(process: Process) -> str:
    return process.store.statistics.state


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


async def test_outage_of_15_s_is_told_once() -> None:
    model = StoreModel()
    async with running(model) as process:
        began = asyncio.get_running_loop().time()
        model.stop()
        await process.until_told("unreachable")
        assert 14.0 < asyncio.get_running_loop().time() - began < 15.6
        await asyncio.sleep(60)
        model.restart()
        await process.until_told("reachable")
        await process.until_told("renewed")
        assert process.told.count("unreachable") == 1
        assert process.told.count("lapsed") == 1


async def test_each_outage_is_told() -> None:
    model = StoreModel()
    async with running(model) as process:
        for count in (1, 2):
            model.pause()
            await process.until_told("lapsed", count)
            model.resume()
            await process.until_told("renewed", count)
        assert process.told == ["lapsed", "renewed"] * 2


async def test_lease_lapses_before_the_server_ends_it() -> None:
    class Watching(Process):
        def lapsed(self) -> None:
            if model.data.lease(self.store.name, model.now) is None:
                self.told.append("lapsed too late")
            super().lapsed()

    model = StoreModel()
    process = Watching(model.connect(LIMITS))
    await process.store.start(process)
    model.delay = 1.0
    await asyncio.sleep(10)
    model.pause()
    await process.until_told("lapsed")
    assert process.told == ["lapsed"]
    await asyncio.sleep(2)
    assert model.data.lease(process.store.name, model.now) is None
    model.resume()
    await process.store.stop()


@pytest.mark.parametrize("under_way", [True, False])
async def test_stopped_process_finds_its_lease_lapsed(under_way: bool) -> None:
    """It does not take its own absence for a loss of data, and cannot write what others claimed."""

    class Watching(Process):
        def renewed(self) -> None:
            if self.store.is_lapsed():
                self.told.append("renewed too early")
            super().renewed()

    async def start() -> tuple[Process, JournaledSession]:
        process = Watching(model.connect(LIMITS))
        await process.store.start(process)
        return process, await process.open("one")

    model, part = StoreModel(), Part()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingEventLoop)
    process, session = await loop.create_task(start(), context=part.context())
    await asyncio.sleep(GRACE_IS_OVER)
    birth = model.data.birth
    model.delay = 0.2
    async with running(model) as other:
        await asyncio.sleep(0.55 if under_way else 0.0)
        loop.suspend(part)
        assert not await other.store.is_dead(process.store.name)
        await asyncio.sleep(7)
        assert process.store.is_lapsed()
        assert await other.store.is_dead(process.store.name)
        assert isinstance(await other.store.claim("one", process.store.name, 1), Image)
        loop.go_on(part)
        await process.until_told("renewed")
        assert process.told == ["lapsed", "renewed"]
        assert model.data.birth == birth
        session.touch()
        await session.until(lambda: session.is_lost)
        assert session.outcomes == [Refusal.FENCED]
        await process.store.stop()


async def test_suspended_machine_finds_its_lease_lapsed() -> None:
    """Also if that happens while a renewal is under way, whose answer comes at once then."""
    model = StoreModel()
    async with running(model) as process:
        model.delay = 0.2
        await asyncio.sleep(1.0)
        for count in (1, 2, 3):
            process.model_store.slept += 10.0
            assert process.store.is_lapsed()
            await process.until_told("renewed", count)
            assert not process.store.is_lapsed()
            await asyncio.sleep(0.7)
        assert process.told == ["lapsed", "renewed"] * 3


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


async def test_defect_of_the_process_does_not_end_its_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Defective(Process):
        def renewed(self) -> None:
            super().renewed()
            raise LookupError

    model = StoreModel()
    process = Defective(model.connect(LIMITS))
    await process.store.start(process)
    model.pause()
    await process.until_told("lapsed")
    model.resume()
    await process.until_told("renewed")
    await asyncio.sleep(20)
    assert not process.store.is_lapsed()
    assert "store_failed call=renew" in caplog.text
    await process.store.stop()


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


# Lost data


async def test_lost_data_is_written_again() -> None:
    model = StoreModel()
    async with running(model) as process:
        one, two = await process.open("one"), await process.open("two")
        one.send("hello")
        await one.until_stored()
        await asyncio.sleep(GRACE_IS_OVER)
        assert not in_grace(process)
        secret = process.store.secret
        model.forget_all()
        await process.until_told("lost")
        assert in_grace(process)
        await one.until_stored()
        await two.until_stored()
        await asyncio.sleep(1)
        assert stored(model) == ("hello",)
        assert stored(model, "two") == ()
        assert model.data.secret == process.store.secret == secret
        assert process.store.statistics.healed == 2
        assert process.told == ["lost"]
        await asyncio.sleep(GRACE_IS_OVER)
        assert not in_grace(process)


async def test_lost_birth_of_the_data_is_a_loss() -> None:
    """Somebody may have put old data back without a restart."""
    model = StoreModel()
    async with running(model) as process:
        await asyncio.sleep(GRACE_IS_OVER)
        model.data.birth = None
        await process.until_told("lost")
        assert in_grace(process)
        assert model.data.birth is not None


async def test_lost_session_is_not_unknown() -> None:
    model = StoreModel()
    async with running(model) as process:
        await process.open("one")
        await asyncio.sleep(GRACE_IS_OVER)
        assert not in_grace(process)
        model.forget_all()
        assert await process.store.locate("one") is None
        assert in_grace(process)


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


@pytest.mark.parametrize("data", ["kept", "old", "none"])
async def test_restart_of_the_server_loses_nothing(data: str) -> None:
    model = StoreModel()
    async with running(model) as process:
        session, idle = await process.open("one"), await process.open("idle")
        session.send("one")
        await session.until_stored()
        old = model.data.copy()
        session.send("two")
        await session.until_stored()
        await asyncio.sleep(GRACE_IS_OVER)
        run = process.store.run
        model.restart({"kept": None, "old": old, "none": Data()}[data])
        session.send("three")
        await process.until_told("lost")
        await session.until_stored()
        await idle.until_stored()
        await asyncio.sleep(2)
        assert process.store.run == model.run != run
        assert in_grace(process)
        assert process.told == ["lost"]
        image = model.image("idle")
        assert image is not None
        assert image.run == model.run
        await asyncio.sleep(GRACE_IS_OVER)
        assert not in_grace(process)
        assert isinstance(await process.store.claim("idle", process.store.name, 1), Image)
    assert stored(model) == ("one", "two", "three")


async def test_secret_of_the_server_is_taken_after_a_loss() -> None:
    model = StoreModel()
    async with running(model) as process:
        model.restart(Data(secret=b"another"))
        await process.until_told("lost")
        assert process.store.secret == b"another"


async def test_processes_share_the_secret() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        assert one.store.secret == two.store.secret
        assert one.store.name != two.store.name


# Opening, claiming


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


# Who is dead


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


async def test_begun_grace_is_known_to_all() -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await one.open("one")
        await asyncio.sleep(GRACE_IS_OVER)
        await one.store.begin_grace()
        assert one.store.in_grace
        assert await two.store.claim("one", one.store.name, 1) is GRACE
        await asyncio.sleep(1)
        assert two.store.in_grace


# Calls


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


async def test_start_without_a_server_fails() -> None:
    model = StoreModel()
    model.stop()
    store = model.connect(LIMITS)
    with pytest.raises(StoreUnavailable, match="refused"):
        await store.start(JournaledProcess(store))
