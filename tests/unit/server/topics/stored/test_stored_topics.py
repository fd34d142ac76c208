"""`StoredTopics`: members and publishers of several processes, over a store with faults."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.support.turned_clock import anyio_backend
from tests.unit.server.topics.stored.test_log_reader import Taker
from transport.errors import StoreUnavailable
from transport.server.topics.stored.log_readers import ECHO_INTERVAL, REACHED_WITHIN
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.testing.topic_model import ModelSubscribeWire, TopicModel

__all__ = ("anyio_backend",)

USERS = int(os.environ.get("TOPIC_USERS", "2000"))
"""50,000 take as long for each, and some seconds together."""


@asynccontextmanager
async def running(store: TopicModel) -> AsyncIterator[StoredTopics]:
    """Run the topics of one process while the block runs."""
    topics = StoredTopics(store)
    task = asyncio.create_task(topics.run())
    try:
        yield topics
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@asynccontextmanager
async def two(store: TopicModel) -> AsyncIterator[tuple[StoredTopics, StoredTopics]]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(store))
        yield one, await stack.enter_async_context(running(store))


async def test_message_reaches_members_in_all_processes() -> None:
    async with two(TopicModel()) as (one, other):
        near, far = Taker(None), Taker(None)
        await one.join("g/a", near)
        await other.join("g/a", far)
        await one.publish("g/a", "hello")
        assert near.got == ["hello"]
        await asyncio.sleep(0.1)
        assert far.got == ["hello"]


async def test_send_returns_when_own_members_have_the_message() -> None:
    """So what is sent to one of them next comes behind it."""
    for seed in range(10):
        async with two(TopicModel(seed, latency=0.05)) as (one, other):
            member = Taker(None)
            await one.join("g/a", member)
            sending = [asyncio.create_task(other.publish("g/a", str(n))) for n in range(9)]
            await one.publish("g/a", "mine")
            assert member.got[-1] == "mine" or "mine" in member.got
            await asyncio.gather(*sending)


async def test_everything_after_a_join_reaches_the_member() -> None:
    for seed in range(10):
        async with two(TopicModel(seed, latency=0.05)) as (one, other):
            sent: list[str] = []

            async def publish(topics: StoredTopics = other, sent: list[str] = sent) -> None:
                for number in range(20):
                    sent.append(str(number))
                    await topics.publish("g/a", sent[-1])

            publishing = asyncio.create_task(publish())
            await asyncio.sleep(0.3)
            member = Taker(None)
            await one.join("g/a", member)
            begun = len(sent)
            await publishing
            await asyncio.sleep(1)
            assert member.got[-(20 - begun) :] == sent[begun:]


async def test_topics_of_users_cost_one_read_each() -> None:
    """In batches of a thousand; and nothing after, while nothing is published."""
    store = TopicModel()
    async with running(store) as topics:
        batches = USERS // 1000
        members = [Taker(store.now()) for _ in range(USERS)]
        for index, member in enumerate(members):
            topics.resume(f"u/{index}", member, has_taken=False)
        await asyncio.sleep(5)
        assert (store.commands["subscribe"], store.topics_read) == (batches, USERS)
        assert store.commands["read"] < 3 * batches
        before = dict(store.commands)
        await asyncio.sleep(600)
        assert store.commands == before
        await topics.publish("u/7", "hello")
        assert members[7].got == ["hello"]
        store.cut()
        await asyncio.sleep(5)
        assert (store.commands["subscribe"], store.topics_read) == (2 * batches, 2 * USERS)


async def test_topic_without_members_is_not_subscribed_to() -> None:
    store = TopicModel()
    async with running(store) as topics:
        for _ in range(3):
            first, second = Taker(None), Taker(None)
            await topics.join("g/a", first)
            topics.leave("g/a", first)
            await topics.join("g/a", second)  # before the subscription has ended
            await topics.publish("g/a", "1")
            assert (first.got, second.got) == ([], ["1"])
            topics.leave("g/a", second)
            await asyncio.sleep(1)
            assert [wire.topics for wire in store.connections if wire.topics] == [{""}]
        assert topics._readers._unconfirmed == {}
        assert topics._readers._subscribed == set()


async def test_topic_whose_last_member_is_reset_is_given_up() -> None:
    store = TopicModel()
    async with running(store) as topics:
        member = Taker(None)
        await topics.join("g/a", member)
        member.is_full = True
        await topics.publish("g/a", "1")
        await asyncio.sleep(1)
        assert topics._readers._readers == {}


async def test_silent_subscription_is_replaced() -> None:
    store = TopicModel()
    async with two(store) as (one, other):
        member = Taker(None)
        await one.join("g/a", member)
        store.silence()
        await other.publish("g/a", "1")
        await asyncio.sleep(0.9 * ECHO_INTERVAL)
        await asyncio.sleep(1.2 * ECHO_INTERVAL)
        assert member.got == ["1"]


async def test_busy_subscription_is_not_replaced() -> None:
    """The echo waits behind what was published before it."""
    store = TopicModel()
    async with two(store) as (one, other):
        member = Taker(None)
        await one.join("g/a", member)
        subscription = one._readers._subscription
        receive = subscription.receive

        async def receive_late() -> object:
            await asyncio.sleep(0.05)
            return await receive()

        subscription.receive = receive_late  # type: ignore[assignment,method-assign]
        sending = [asyncio.create_task(other.publish("g/a", str(n))) for n in range(200)]
        connection = subscription.connection  # type: ignore[attr-defined]
        await asyncio.sleep(8)
        assert 100 < len(member.got) < 190
        await asyncio.sleep(8)
        assert len(member.got) == 200
        assert connection.is_open
        await asyncio.gather(*sending)


async def test_lost_read_connection_keeps_the_subscription() -> None:
    store = TopicModel()
    async with running(store) as topics:
        await topics.join("g/a", Taker(None))
        subscription = topics._readers._subscription.connection  # type: ignore[attr-defined]
        for _ in range(3):
            topics._readers._reads._wire.drop()
            await asyncio.sleep(ECHO_INTERVAL)
        assert subscription.is_open


async def test_publisher_waits_a_bounded_time_for_its_process() -> None:
    store = TopicModel()
    async with running(store) as topics:
        member = Taker(None)
        await topics.join("g/a", member)
        store.silence()
        begun = asyncio.get_running_loop().time()
        await topics.publish("g/a", "1")
        assert member.got == ["1"]  # it was read, as it did not arrive
        assert asyncio.get_running_loop().time() - begun < 2
        topics._readers._subscription.drop()
        topics._readers._reads._wire.drop()
        store.refuses = "LOADING"
        publishing = asyncio.create_task(topics.publish("g/a", "2"))
        await asyncio.sleep(1)
        store.refuses = ""
        await publishing
        assert member.got == ["1", "2"]


async def test_store_that_is_away_makes_no_subscription_wait_for_ever() -> None:
    store = TopicModel()
    async with running(store) as topics:
        member = Taker(None)
        store.pause()
        joining = asyncio.create_task(topics.join("g/a", member))
        with pytest.raises(StoreUnavailable, match="no answer within 3 s"):
            await topics.publish("g/a", "1")
        assert not joining.done()
        store.resume()
        await joining
        await topics.publish("g/a", "2")
        assert member.got[-1] == "2"
        assert asyncio.get_running_loop().time() < 15 + 2 * REACHED_WITHIN


async def test_topic_that_cannot_be_read_resets_its_members(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = TopicModel()
    async with two(store) as (one, other):
        member, behind = Taker(None), Taker(None)
        await one.join("g/a", member)
        await one.publish("g/a", "1")
        store.broken.add("g/a")
        behind.at = member.cursor - 1
        with caplog.at_level(logging.ERROR, "transport"):
            one.resume("g/a", behind, has_taken=True)
            await asyncio.sleep(1)
        [record] = caplog.records
        assert record.getMessage().startswith("topic_failed topic=g/a: the store cannot read")
        assert (behind.resets, member.resets) == (1, 0)
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            await other.publish("g/a", "2")


@pytest.mark.parametrize("loss", ["goes back", "is emptied"])
@pytest.mark.parametrize("publishes", [True, False])
async def test_loss_that_one_process_knows_of_is_told_to_all(loss: str, publishes: bool) -> None:
    """Also if a process publishes first that does not know of it."""
    store = TopicModel()
    members = [Taker(None) for _ in range(3)]
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(running(store)) for _ in range(3)]
        for process, member in zip(processes, members, strict=True):
            await process.join("g/a", member)
        async with running(store) as first:
            await first.publish("g/a", "kept")
        await asyncio.sleep(1)
        kept = store.snapshot()
        for process in processes[1:]:
            subscription = process._readers._subscription
            assert isinstance(subscription, ModelSubscribeWire)
            subscription.connection.is_silent = True
        async with running(store) as second:
            await second.publish("g/a", "lost")
        await asyncio.sleep(0.1)
        if loss == "goes back":
            store.go_back(kept)
        else:
            store.flush()
        if publishes:
            await processes[2].publish("g/a", "new")
        await asyncio.sleep(20)
        async with running(store) as third:
            await third.publish("g/a", "last")
        await asyncio.sleep(20)
    assert [member.resets for member in members] == [0, 1, 1]
    assert [each for each in members[0].got if each != "new"] == ["kept", "lost", "last"]
