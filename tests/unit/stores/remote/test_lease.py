"""`Lease`: a process stops before others may take its sessions, and knows when it has none."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.journaled_sessions import JournaledSession
from tests.support.modelled_processes import (
    GRACE_IS_OVER,
    LIMITS,
    Process,
    in_grace,
    running,
    stored,
)
from transport.protocol.journal import Image, Refusal
from transport.testing import JumpingEventLoop
from transport.testing.store_model import StoreModel
from transport.testing.suspension import Part


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


async def test_stopped_process_does_not_say_that_the_store_is_away() -> None:
    """Its clients are not sent away by a process that has just asked nothing."""
    model, part = StoreModel(), Part()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingEventLoop)

    async def start() -> Process:
        process = Process(model.connect(LIMITS))
        await process.store.start(process)
        return process

    process = await loop.create_task(start(), context=part.context())
    model.delay = 0.2
    await asyncio.sleep(1)
    loop.suspend(part)
    await asyncio.sleep(20)
    loop.go_on(part)
    await process.until_told("renewed")
    assert process.told == ["lapsed", "renewed"]
    model.stop()
    await asyncio.sleep(16)
    assert process.told == ["lapsed", "renewed", "lapsed", "unreachable"]
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


async def test_lease_that_cannot_have_ended_is_a_loss() -> None:
    """The clock of the server has made a step, for example."""
    model = StoreModel()
    async with running(model) as process:
        await asyncio.sleep(GRACE_IS_OVER)
        birth = model.data.birth
        del model.data.leases[process.store.name]
        await process.until_told("lost")
        assert in_grace(process)
        assert model.data.birth != birth


async def test_lost_birth_of_the_data_is_a_loss() -> None:
    """Somebody may have put old data back without a restart."""
    model = StoreModel()
    async with running(model) as process:
        await asyncio.sleep(GRACE_IS_OVER)
        model.data.birth = None
        await process.until_told("lost")
        assert in_grace(process)
        assert model.data.birth is not None
