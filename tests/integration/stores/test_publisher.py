"""A `Publisher` and processes with members, over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.servers.redis import RedisServer, running_redis
from tests.unit.server.topics.stored.test_log_reader import Taker
from transport import Limits
from transport.bus.redis_store import RedisStore
from transport.publisher import Publisher
from transport.server.topics.stored.dismissals import Dismissals
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.waiting import Waiters

WITHIN = 20.0


class Watched(Taker):
    """A member that can be waited for."""

    def __init__(self, changed: Waiters) -> None:
        super().__init__(None)
        self.changed = changed

    def offer(self, entry: Any) -> bool:
        has_taken = super().offer(entry)
        self.changed.changed()
        return has_taken

    def reset(self) -> None:
        super().reset()
        self.changed.changed()


@asynccontextmanager
async def running(url: str) -> AsyncIterator[StoredTopics]:
    """Run the topics of one process while the block runs."""
    topics = StoredTopics(RedisStore(url).topics("chat", Limits()))
    task = asyncio.create_task(topics.run())
    try:
        yield topics
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_messages_reach_members_over_cut_connections(redis_server: RedisServer) -> None:
    """Of a publisher and of both processes, each once, in one order."""
    url, changed = redis_server.url, Waiters()
    members = [Watched(changed) for _ in range(4)]
    client: Any = redis_server.client()
    async with (
        asyncio.timeout(WITHIN),
        client,
        running(url) as one,
        running(url) as other,
        Publisher(RedisStore(url), hub="chat") as publisher,
    ):
        for member, topics in zip(members, [one, other] * 2, strict=True):
            await topics.join("g/lobby", member)
        sending = []
        for number in range(200):
            group = publisher.group("lobby")
            sending.append(asyncio.create_task(group.send(f"p{number}")))
            sending.append(asyncio.create_task(one.publish("g/lobby", f'"a{number}"')))
            sending.append(asyncio.create_task(other.publish("g/lobby", f'"b{number}"')))
            await asyncio.sleep(0.001)
            if number in (50, 150):
                await client.client_kill_filter(_type="normal", skipme=True)
            if number == 100:
                await client.client_kill_filter(_type="pubsub")
        await asyncio.gather(*sending)
        await changed.until(lambda: all(len(member.got) == 600 for member in members))
    assert [member.resets for member in members] == [0] * 4
    assert all(member.got == members[0].got for member in members)
    for writer in "pab":
        mine = [each for each in members[0].got if str(each)[1] == writer]
        assert mine == [f'"{writer}{number}"' for number in range(200)]


async def test_store_that_went_back_loses_nothing_silently(tmp_path: Path) -> None:
    """It restarts with older data. One process knows what it lost, and tells the others of it."""
    changed = Waiters()
    current, late = Watched(changed), Watched(changed)
    async with (
        asyncio.timeout(WITHIN),
        running_redis(tmp_path) as server,
        running(server.url) as one,
        running(server.url) as other,
        Publisher(RedisStore(server.url), hub="chat") as publisher,
        Publisher(RedisStore(server.url), hub="chat") as stranger,
    ):
        await one.join("g/lobby", current)
        await publisher.group("lobby").send("kept")
        await changed.until(lambda: current.got == ['"kept"'])
        late.at = current.cursor
        await server.save()
        await publisher.group("lobby").send("lost")
        await changed.until(lambda: current.got == ['"kept"', '"lost"'])
        await server.restart(keep=True)
        other.resume("g/lobby", late, has_taken=True)
        await stranger.group("lobby").send("new")
        await changed.until(lambda: len(current.got) == 3 and late.resets == 1)
    assert (current.got, current.resets) == (['"kept"', '"lost"', '"new"'], 0)
    assert late.got in ([], ['"new"'])


async def test_publisher_dismisses_users_of_all_processes(redis_server: RedisServer) -> None:
    url, changed = redis_server.url, Waiters()
    users: dict[str, int] = {"ann": 1, "bob": 1}

    def end(subject: str, until: int) -> None:
        if users.get(subject, until + 1) <= until:
            del users[subject]
        changed.changed()

    async with (
        asyncio.timeout(WITHIN),
        running(url) as topics,
        Publisher(RedisStore(url), hub="chat") as publisher,
        Publisher(RedisStore(url), hub="other") as stranger,
    ):
        dismissals = Dismissals(topics, end, users.keys, lambda subject: None)
        following = asyncio.create_task(dismissals.run())
        await stranger.close_user("bob")
        await publisher.close_user("ann")
        await changed.until(lambda: "ann" not in users)
        assert await dismissals.was_dismissed("ann", 1)
        assert not await dismissals.was_dismissed("bob", 1)
        following.cancel()
        await asyncio.wait([following])
    assert users.keys() == {"bob"}
