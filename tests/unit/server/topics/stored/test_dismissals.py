"""Dismissals reach the sessions of a user in every process, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.support.turned_clock import anyio_backend
from tests.unit.server.topics.stored.test_log_reader import Taker
from transport.errors import StoreUnavailable
from transport.protocol.topic_log import Keep
from transport.protocol.topic_names import DISMISSALS
from transport.server.topics.stored.dismissals import Dismissals
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.testing.topic_model import ModelReadWire, TopicModel

__all__ = ("anyio_backend",)


class Process:
    """A process with sessions: for each subject the time of their birth."""

    def __init__(self, store: TopicModel) -> None:
        self.sessions: dict[str, int] = {}
        self.topics = StoredTopics(store)
        self.refused: list[str] = []
        self.dismissals = Dismissals(self.topics, self.end, self.sessions.keys, self.refused.append)

    def end(self, subject: str, until: int) -> None:
        if self.sessions.get(subject, until + 1) <= until:
            del self.sessions[subject]


@asynccontextmanager
async def running(store: TopicModel) -> AsyncIterator[Process]:
    """Run a process while the block runs."""
    process = Process(store)
    tasks = [
        asyncio.create_task(process.topics.run()),
        asyncio.create_task(process.dismissals.run()),
    ]
    try:
        await asyncio.sleep(1)
        yield process
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)


async def test_sessions_of_a_user_end_in_all_processes() -> None:
    store = TopicModel()
    async with running(store) as one, running(store) as other:
        for process in (one, other):
            process.sessions |= {"ann": store.now(), "bob": store.now()}
        await one.dismissals.dismiss("ann")
        assert one.sessions.keys() == {"bob"}
        await asyncio.sleep(0.1)
        assert other.sessions.keys() == {"bob"}
        assert one.refused == other.refused == ["ann"]


async def test_claim_sees_the_dismissal() -> None:
    store = TopicModel()
    async with running(store) as one:
        born = store.now()
        assert not await one.dismissals.was_dismissed("ann", born)
        await one.dismissals.dismiss("ann")
        assert await one.dismissals.was_dismissed("ann", born)
        assert not await one.dismissals.was_dismissed("ann", store.now())
        assert not await one.dismissals.was_dismissed("bob", born)


async def test_dismissal_that_comes_late_spares_new_sessions() -> None:
    """The user has signed in again while the subscription was lost."""
    store = TopicModel()
    async with running(store) as one, running(store) as other:
        store.silence()
        await one.dismissals.dismiss("ann")
        other.sessions["ann"] = store.now()
        await asyncio.sleep(10)
        assert other.topics._readers.newest(DISMISSALS) > 0
        assert other.sessions.keys() == {"ann"}


@pytest.mark.parametrize("fault", ["silence", "cut"])
async def test_dismissal_during_a_lost_subscription_is_read(fault: str) -> None:
    store = TopicModel()
    async with running(store) as one, running(store) as other:
        other.sessions["ann"] = store.now()
        getattr(store, fault)()
        await one.dismissals.dismiss("ann")
        await asyncio.sleep(10)
        assert other.sessions == {}


async def test_process_that_missed_dismissals_looks_for_all_its_users() -> None:
    """The log has dropped them, or the store has lost them; the times are kept apart."""
    store = TopicModel(keep=Keep(1, 1 << 20))
    async with running(store) as one, running(store) as other:
        other.sessions |= {f"user{index}": store.now() for index in range(3)}
        store.silence()
        for index in range(3):
            await one.dismissals.dismiss(f"user{index}")
        other.sessions["new"] = store.now()
        await asyncio.sleep(10)
        assert other.sessions.keys() == {"new"}
        await one.dismissals.dismiss("new")  # it follows the topic again
        await asyncio.sleep(1)
        assert other.sessions == {}


async def test_look_is_repeated_until_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    store = TopicModel()
    async with running(store) as one:
        one.sessions["ann"] = store.now()
        store.dismissed["ann"] = store.now()
        asked = one.topics.dismissals
        failures = [StoreUnavailable("away")] * 2

        async def dismissals(subjects: list[str]) -> list[int]:
            if failures:
                raise failures.pop()
            return await asked(subjects)

        monkeypatch.setattr(one.topics, "dismissals", dismissals)
        one.dismissals.reset()
        one.topics.leave(DISMISSALS, one.dismissals)
        await asyncio.sleep(10)
        assert one.sessions == {}


@pytest.mark.parametrize("arrives", ["as an entry", "by a look"])
async def test_claim_sees_what_arrives_before_the_answer(
    arrives: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was asked before the dismissal, which comes over another connection."""
    store = TopicModel()
    async with running(store) as one, running(store) as other:
        born, answer = store.now(), asyncio.Event()
        ask = ModelReadWire.dismissals

        async def answer_late(wire: ModelReadWire, subjects: Sequence[str]) -> Sequence[int]:
            times = await ask(wire, subjects)
            await answer.wait()
            return times

        monkeypatch.setattr(ModelReadWire, "dismissals", answer_late)

        async def claim(subject: str) -> None:
            if not await one.dismissals.was_dismissed(subject, born):
                one.sessions[subject] = born

        claims = [asyncio.create_task(claim(subject)) for subject in ("ann", "bob")]
        await asyncio.sleep(0.1)
        if arrives == "as an entry":
            await other.dismissals.dismiss("ann")
        else:
            store.dismissed["ann"] = store.now()
            one.topics.leave(DISMISSALS, one.dismissals)
            one.dismissals.reset()
        await asyncio.sleep(0.1)
        answer.set()
        await asyncio.gather(*claims)
        await asyncio.sleep(0.1)
        assert one.sessions.keys() == {"bob"}
        assert not await one.dismissals.was_dismissed("ann", store.now())


async def test_claims_at_once_ask_the_store_together() -> None:
    store = TopicModel(latency=0.01)
    async with running(store) as one, running(store) as other:
        await other.dismissals.dismiss("7")
        store.commands.clear()
        claims = [one.dismissals.was_dismissed(str(number), 1) for number in range(500)]
        assert [at for at, was in enumerate(await asyncio.gather(*claims)) if was] == [7]
        assert store.commands["dismissals"] <= 2


async def test_claims_all_the_time_delay_no_topic() -> None:
    store = TopicModel(latency=0.01)

    async def claim() -> None:
        while True:
            await one.dismissals.was_dismissed("ann", 1)

    async with running(store) as one:
        claiming = [asyncio.create_task(claim()) for _ in range(10)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            await one.topics.join("g/room", Taker(None))
        for task in claiming:
            task.cancel()


async def test_store_that_is_away_leaves_a_claim_undecided() -> None:
    store = TopicModel()
    async with running(store) as one:
        store.pause()
        with pytest.raises(StoreUnavailable, match="the store does not answer"):
            await one.dismissals.was_dismissed("ann", 1)
        store.resume()
        await asyncio.sleep(5)
        assert not await one.dismissals.was_dismissed("ann", 1)


async def test_unknown_kind_of_dismissal_is_looked_up() -> None:
    store = TopicModel()
    async with running(store) as one, running(store) as other:
        other.sessions["ann"] = store.now()
        await one.topics.publish(DISMISSALS, b"\xff", dismisses="ann")
        await asyncio.sleep(1)
        assert other.sessions == {}
        other.sessions["bob"] = store.now()
        await one.dismissals.dismiss("bob")
        await asyncio.sleep(1)
        assert other.sessions == {}
