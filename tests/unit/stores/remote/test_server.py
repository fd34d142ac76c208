"""`Server`: a process notices that the server was restarted, replaced or emptied."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.journaled_sessions import JournaledProcess
from tests.support.modelled_processes import (
    GRACE_IS_OVER,
    LIMITS,
    Process,
    in_grace,
    running,
    stored,
)
from transport.errors import StoreUnavailable
from transport.protocol.journal import Image
from transport.stores.journaled import GRACE
from transport.testing.store_data import Data
from transport.testing.store_model import StoreModel


async def test_lost_session_is_not_unknown() -> None:
    model = StoreModel()
    async with running(model) as process:
        await process.open("one")
        await asyncio.sleep(GRACE_IS_OVER)
        assert not in_grace(process)
        model.forget_all()
        assert await process.store.locate("one") is None
        assert in_grace(process)


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


@pytest.mark.parametrize("seconds", [20, 3600])
async def test_clock_that_went_back_does_not_prolong_a_grace(seconds: float) -> None:
    model = StoreModel()
    async with running(model) as one, running(model) as two:
        await one.open("one")
        assert model.data.birth is not None
        model.data.birth = model.run, model.data.birth[1] + seconds
        await asyncio.sleep(GRACE_IS_OVER + 1)
        assert not in_grace(one)
        assert not in_grace(two)
        assert isinstance(await two.store.claim("one", one.store.name, 1), Image)


async def test_start_without_a_server_fails() -> None:
    model = StoreModel()
    model.stop()
    store = model.connect(LIMITS)
    with pytest.raises(StoreUnavailable, match="refused"):
        await store.start(JournaledProcess(store))


async def test_loss_that_another_process_has_noticed_is_told() -> None:
    """The data are lost right after a restart: the first process takes the second's word for it."""
    model = StoreModel()
    async with running(model) as one:
        session, idle = await one.open("one"), await one.open("idle")
        await asyncio.sleep(0.25)
        async with running(model):  # it renews its lease in the middle between those of the first
            await asyncio.sleep(0.3)
            model.restart()
            session.send("hello")
            await session.until_stored()
            await idle.until_stored()
            model.forget_all()
            await one.until_told("lost", 2)
            await session.until_stored()
            await idle.until_stored()
            assert stored(model) == ("hello",)
            assert model.image("idle") is not None


async def test_processes_that_start_together_lose_nothing() -> None:
    model = StoreModel()
    model.delay = 0.1
    processes = [Process(model.connect(LIMITS)) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        for process in processes:
            group.create_task(process.store.start(process))
            await asyncio.sleep(0.01)
    await asyncio.sleep(5)
    for process in processes:
        assert process.told == []
        await process.store.stop()


async def test_grace_begins_once_for_all_processes() -> None:
    model = StoreModel()
    async with running(model) as one:
        await asyncio.sleep(0.25)
        async with running(model) as two:
            await asyncio.sleep(GRACE_IS_OVER)
            model.forget_all()
            await asyncio.sleep(0.5)
            assert one.told == two.told == ["lost"]
            birth = model.data.birth
            await asyncio.sleep(5)
            assert one.told == two.told == ["lost"]
            assert model.data.birth == birth
            assert birth is not None
            assert birth[1] < model.now - 5.2
