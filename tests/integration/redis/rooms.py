"""Rooms: groups of which some members of a crowd are members, and in which they publish.

A member publishes through its handler, and its publication says which one it is (the member's
session and a number) and which attempt: the run of the handler, and how often that has published.
So what a handler has published twice, because it was given a message again after a kill, can be
told from what was delivered twice, which must not happen.

rooms = Rooms(crowd)
await rooms.join()
await rooms.publish(crowd[0])
await rooms.until_heard()
rooms.doubled(workers.given())
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, cycle
from secrets import token_hex
from typing import NamedTuple

from tests.support.browsers.chromium import Tab
from tests.support.clients.members import DEADLINE, Member
from transport import RedisStore
from transport.publisher import Publisher

SIZE = 10
"""Members of a room: each publication is sent to as many."""
INTERVAL = 0.2
"""Seconds between two publications of `Rooms.announcements`."""
HUB = "tests.integration.redis.app.serve"


class Publication(NamedTuple):
    """What a member has heard.

    Attributes:
        publisher: the session that has published it.
        number: of the publication; the publisher counts them.
        run: of the publisher's handler.
        place: how many that run has published, with this one.
    """

    publisher: str
    number: int
    run: str
    place: int


class _Listener:
    """A member of a room: it checks that what it hears is complete and in order.

    Attributes:
        heard: everything, in order.
        highest: of each publisher the number of its last publication.
    """

    def __init__(self) -> None:
        self.heard: list[Publication] = []
        self.highest: Counter[str] = Counter()
        self._places: Counter[str] = Counter()

    def take(self, message: object) -> None:
        """Take what the member has received."""
        assert isinstance(message, dict), message
        one = Publication(*message["published"])
        self.heard.append(one)
        self._places[one.run] += 1
        assert one.place == self._places[one.run], f"{one} is lost, doubled or out of order"
        highest = self.highest[one.publisher]
        assert one.number <= highest + 1, f"{one} comes after {highest}"
        self.highest[one.publisher] = max(highest, one.number)


class _Room:
    """A group with its members, each with what it has heard."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.name = f"room {token_hex(4)}"
        self.listeners = {member: _Listener() for member in members}
        self.published: Counter[str] = Counter()


class Rooms:
    """The rooms of a crowd, with a few members in each.

    Args:
        crowd: the members.
        tabs: pages that are members, too, and only listen.
    """

    def __init__(self, crowd: Sequence[Member], tabs: Sequence[Tab] = ()) -> None:
        self._rooms = [_Room(crowd[at : at + SIZE]) for at in range(0, len(crowd), SIZE)]
        self._room = {member: room for room in self._rooms for member in room.listeners}
        self._tabs = list(zip(tabs, cycle(self._rooms), strict=False))

    async def join(self) -> None:
        """Let each member join its room; what is published later reaches it."""
        numbers = {}
        for member, room in self._room.items():
            member.take = room.listeners[member].take
            numbers[member] = await member.channel.send({"join": room.name})
        for member, number in numbers.items():
            await member.channel.acknowledged(number)
        for page, room in self._tabs:
            await page.run("(name) => channel.send({ join: name })", room.name)

    async def publish(self, member: Member, **then: bool) -> None:
        """Let a member publish to its room.

        Args:
            member: the member.
            then: ``die=True`` to let its process end after that; see `app.serve`.
        """
        room = self._room[member]
        number = room.published[member.channel.id] = room.published[member.channel.id] + 1
        await member.channel.send({"publish": number, "in": room.name, **then})

    @asynccontextmanager
    async def announcements(self, redis: str) -> AsyncIterator[None]:
        """Let a `Publisher` publish to one room after the other while the block runs.

        Args:
            redis: the URL of the Redis.
        """
        async with Publisher(RedisStore(redis), hub=HUB) as publisher:
            announcing = asyncio.create_task(self._announce(publisher))
            try:
                yield
            finally:
                announcing.cancel()
                await asyncio.wait([announcing])
        if not announcing.cancelled():
            announcing.result()

    async def _announce(self, publisher: Publisher) -> None:
        run = token_hex(4)
        while True:
            for room in self._rooms:
                number = room.published[run] = room.published[run] + 1
                message = {"published": [run, number, run, number]}
                await publisher.group(room.name).send(message)
                await asyncio.sleep(INTERVAL)

    async def until_heard(self) -> None:
        """Wait until each member has heard what was published in its room, all in one order."""
        for room in self._rooms:
            for member, listener in room.listeners.items():
                await member.until(lambda: listener.highest == room.published)  # noqa: B023 - awaited
            orders = [listener.heard for listener in room.listeners.values()]
            for page in [page for page, its in self._tabs if its is room]:
                await page.wait(f"member.published.length >= {len(orders[0])}", timeout=DEADLINE)
                found = await page.run("() => member.published")
                orders.append([Publication(*each) for each in found])
            shortest = min(map(len, orders))  # a repetition may be on its way to some
            assert all(order[:shortest] == orders[0][:shortest] for order in orders)

    @property
    def heard(self) -> int:
        """How many publications members have heard, each counted."""
        return sum(len(each.heard) for room in self._rooms for each in room.listeners.values())

    def doubled(self, given: Counter[str]) -> int:
        """Return how often a publication was published again.

        Fails if that was more often than a handler was given its message again.

        Args:
            given: how often handlers were given each message; see `Crew.given`.
        """
        lines = [line.partition(" ") for line in given.elements() if '"publish"' in line]
        may_be = Counter((publisher, json.loads(text)["publish"]) for publisher, _, text in lines)
        heard = [listener.heard for room in self._rooms for listener in room.listeners.values()]
        attempts = Counter((one.publisher, one.number) for one in {*chain(*heard)})
        twice = {each: times for each, times in attempts.items() if times > 1}
        assert all(times <= may_be[each] for each, times in twice.items())
        return sum(twice.values()) - len(twice)
