"""Groups and broadcasts of processes that share a store."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.unit.server.stored.conftest import each_transport, processes, until
from transport import Channel, Group, Limits, SessionReset
from transport.protocol.topic_log import Publication
from transport.protocol.topic_names import GROUP
from transport.publisher import Publisher
from transport.stores.names import shorten_topic
from transport.stores.topics.wire import Append
from transport.testing import Page, drive
from transport.testing.topic_model import TopicModel


def room_of(channel: Channel) -> Group:
    """Return the group in the process of a channel."""
    group: Group = channel.state.hub.group("room")
    return group


async def talk(channel: Channel) -> None:
    """Publish what a member receives."""
    room = room_of(channel)
    await room.add(channel)
    await channel.send("here")
    async for message in channel:
        await room.send(message)
        await channel.send(["said", message])


async def receive(page: Page, count: int) -> list[object]:
    return [await page.receive(within=60) for _ in range(count)]


async def test_members_in_all_processes_get_every_message_in_one_order() -> None:
    async with processes(talk, 3) as each, AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(drive(each.cluster)) for _ in range(4)]
        for page in pages:
            assert await page.receive(within=30) == "here"
        for number in range(5):
            for index, page in enumerate(pages):
                await page.send([index, number])
        seen = [await receive(page, 25) for page in pages]
        published = [[one for one in each if one[0] != "said"] for each in seen]  # type: ignore[index]
        assert all(one == published[0] for one in published)
        assert sorted(published[0]) == sorted([i, n] for i in range(4) for n in range(5))  # type: ignore[type-var]


async def test_sender_gets_group_message_before_what_it_sends_after() -> None:
    async with processes(talk) as each, drive(each.cluster) as page:
        assert await page.receive(within=30) == "here"
        await page.send("a")
        assert await receive(page, 2) == ["a", ["said", "a"]]


@each_transport
async def test_member_gets_after_a_kill_what_was_published_meanwhile(transport: str) -> None:
    """The store has the membership: the handler need not have added the channel again."""

    async def handle(channel: Channel) -> None:
        if not channel.resumed:
            await room_of(channel).add(channel)
            await channel.send("here")
        await channel.wait_closed()

    async with processes(handle, 3) as each, drive(each.cluster, transport=transport) as page:
        assert await page.receive(within=30) == "here"
        home = each.home
        others = [index for index in range(3) if index != home]
        each.cluster.kill(home)
        for number in range(10):
            await each.hub(others[number % 2]).group("room").send(number)
        assert await receive(page, 10) == list(range(10))
        assert each.resumed == [False, True]
        assert len(each.hub(each.home).group("room")) == 1
        await each.hub(others[0]).group("room").send("more")
        assert await page.receive(within=30) == "more"


async def test_channel_that_has_left_gets_nothing_after_a_kill() -> None:
    async def handle(channel: Channel) -> None:
        room = room_of(channel)
        if not channel.resumed:
            await room.add(channel)
            room.discard(channel)
            await channel.flush()
        await channel.send("here")
        await channel.wait_closed()

    async with processes(handle) as each, drive(each.cluster) as page:
        assert await page.receive(within=30) == "here"
        await asyncio.sleep(1)
        each.cluster.kill(each.home)
        [left] = [index for index in range(2) if each.cluster[index].is_alive]
        await each.hub(left).group("room").send("missed")
        assert await page.receive(within=60) == "here"
        with pytest.raises(TimeoutError):
            await page.receive(within=5)


@each_transport
async def test_broadcast_reaches_all_sessions_of_all_processes(transport: str) -> None:
    async def handle(channel: Channel) -> None:
        await channel.wait_closed()

    async with processes(handle) as each, AsyncExitStack() as stack:
        pages = [
            await stack.enter_async_context(drive(each.cluster, transport=transport))
            for _ in range(4)
        ]
        await each.hub(0).broadcast("all")
        for page in pages:
            assert await page.receive(within=30) == "all"


async def test_broadcast_while_a_session_has_no_home_arrives() -> None:
    async def handle(channel: Channel) -> None:
        await channel.wait_closed()

    async with processes(handle) as each, drive(each.cluster) as page:
        home = each.home
        each.cluster.kill(home)
        await each.hub(1 - home).broadcast("all")
        assert await page.receive(within=60) == "all"


async def test_member_whose_buffer_is_full_is_reset() -> None:
    async def handle(channel: Channel) -> None:
        await room_of(channel).add(channel)
        await channel.send("here")
        await channel.wait_closed()

    limits = Limits(window_messages=16)
    async with processes(handle, limits=limits) as each, drive(each.cluster) as page:
        assert await page.receive(within=30) == "here"
        page.cut(noticed=False)
        for number in range(40):
            await each.hub(number % 2).group("room").send(number)
        await until(lambda: not each.has_home)
        await page.resume()
        with pytest.raises(SessionReset) as reset:
            await receive(page, 50)
        assert reset.value.reason == "overflow"


@each_transport
async def test_send_to_reaches_a_channel_wherever_its_home_is(transport: str) -> None:
    async def handle(channel: Channel) -> None:
        await channel.wait_closed()

    async with processes(handle, 3) as each, drive(each.cluster, transport=transport) as page:
        assert page.id is not None
        for number in range(3):
            for index in range(3):
                if each.cluster[index].is_alive:
                    assert await each.hub(index).send_to(page.id, [number, index])
                    assert await page.receive(within=60) == [number, index]
            if number < 2:
                each.cluster.kill(each.home)
                alive = next(index for index in range(3) if each.cluster[index].is_alive)
                assert not await each.hub(alive).send_to(page.id, "nobody has it")
                await until(lambda: each.has_home)
        assert not await each.hub(each.home).send_to("unknown", "x")


async def test_home_that_stood_still_resets_nobody() -> None:
    """With a store it reads what it has missed."""
    async with processes(talk) as each, drive(each.cluster) as page:
        assert await page.receive(within=30) == "here"
        home = each.home
        each.go_to(home)
        each.cluster.stop(home)
        await asyncio.sleep(4)
        each.cluster.go_on(home)
        await asyncio.sleep(0.5)
        each.cluster.kill(1 - home)
        await page.send("a")
        assert [await page.receive(within=30) for _ in range(2)] == ["a", ["said", "a"]]


@pytest.mark.parametrize("name", ["r" * 43, "é" * 5000, "#", "a\n}{*[?\0", ""])
async def test_publisher_reaches_a_group_of_any_name(name: str) -> None:
    async def handle(channel: Channel) -> None:
        await channel.state.hub.group(name).add(channel)
        await channel.send("here")
        await channel.wait_closed()

    class Store:
        def topics(self, hub: str, limits: Limits) -> TopicModel:
            return each.store.topics

    async with (
        processes(handle) as each,
        drive(each.cluster) as page,
        Publisher(Store(), hub="test") as publisher,
    ):
        assert await page.receive(within=30) == "here"
        await publisher.group(name).send("by the publisher")
        await each.hub(0).group(name).send("by a hub")
        assert await receive(page, 2) == ["by the publisher", "by a hub"]


@pytest.mark.parametrize("name", ["room", "r" * 60])
async def test_copy_of_a_lost_message_is_not_doubled_after_a_kill(name: str) -> None:
    """Its writer sends it again to a store that went back, when another process has the session."""

    async def handle(channel: Channel) -> None:
        if not channel.resumed:
            await channel.state.hub.group(name).add(channel)
            await channel.send("here")
        await channel.wait_closed()

    def publish(*, since: int) -> None:
        one = Publication(writer="w", serial=1, payload='"lost"', since=since)
        topics.append(Append(shorten_topic(GROUP + name), one))

    async with processes(handle) as each, drive(each.cluster) as page:
        topics = each.store.topics
        assert await page.receive(within=30) == "here"
        kept, before = topics.snapshot(), topics.now()
        publish(since=0)
        assert await page.receive(within=30) == "lost"
        topics.go_back(kept)
        home = each.home
        await each.hub(1 - home).group(name).send("new")
        assert await page.receive(within=30) == "new"
        await asyncio.sleep(1)
        each.cluster.kill(home)
        await until(lambda: each.has_home)
        publish(since=before)
        with pytest.raises(SessionReset):
            await page.receive(within=60)
