"""Members of a crew that talk all the time, and how long they wait for an answer.

async with load(crowd, tabs) as talk:
    ...  # kill something
    await talk.until_answered()
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.integration.redis.conftest import IS_FULL
from tests.integration.redis.crew import Crew
from tests.integration.redis.rooms import Rooms
from tests.support.browsers.chromium import Tab
from tests.support.clients.members import DEADLINE, Member
from tests.support.figures import tell

PAUSE = 20.0 if IS_FULL else 0.1
"""Seconds, at most, between an answer and the next messages of a member.

In the full form two slow cores are half busy: the gaps of a machine that cannot keep up say
nothing."""
BURSTS = (1, 1, 1, 2, 4, 24)
"""Messages that are sent before the first is answered: sometimes more than ``limits.unstored``."""
PUBLISHES = 0.2
"""How likely a member publishes something before such messages."""


class Load:
    """What members send and get.

    Args:
        crowd: the members. Each checks that what comes back is complete and in order.
        tabs: pages that talk, too.
        publishes: how likely a member publishes something before it talks.

    Attributes:
        gaps: seconds from the sending of some messages until all were back, without those of pages.
        of_pages: what pages have sent and got, once the load is over.
        rooms: in which they publish, and hear each other.
    """

    def __init__(self, crowd: Sequence[Member], tabs: Sequence[Tab], publishes: float) -> None:
        self.gaps: list[float] = []
        self.of_pages = 0
        self.rooms = Rooms(crowd, tabs)
        self._crowd = crowd
        self._publishes = publishes
        self._is_over = False

    @property
    def messages(self) -> int:
        """How many were sent and came back, counted in both directions."""
        return 2 * sum(member.echoed for member in self._crowd) + self.of_pages

    async def talk(self, member: Member) -> None:
        """Let a member talk until the load is over."""
        draw = random.Random(member.name)
        while not self._is_over:
            began = time.monotonic()
            if draw.random() < self._publishes:
                await self.rooms.publish(member)
            for _ in range(draw.choice(BURSTS)):
                member.sent += 1
                await member.channel.send(member.sent)
            await member.until(lambda: member.echoed == member.sent or bool(member.resets))
            assert member.resets == [], member.name
            self.gaps.append(time.monotonic() - began)
            await asyncio.sleep(draw.uniform(0, PAUSE))

    async def until_answered(self) -> None:
        """Wait until each member has had an answer to what it sends from now on."""
        wanted = [(member, member.sent) for member in self._crowd]
        async with asyncio.timeout(DEADLINE):
            for member, sent in wanted:
                await member.until(lambda member=member, sent=sent: member.echoed > sent)  # type: ignore[misc]

    def over(self) -> None:
        """Let each member stop when it has had all answers."""
        self._is_over = True

    def tell(self, what: str, crew: Crew, **more: object) -> None:
        """Print the figures."""
        gaps = sorted(self.gaps)
        tell(
            what,
            clients=len(self._crowd),
            messages=self.messages,
            p99=gaps[len(gaps) * 99 // 100],
            longest=gaps[-1],
            given_again=sum(crew.given_again().values()),
            heard=self.rooms.heard,
            doubled_publications=self.rooms.doubled(crew.given()),
            claims=crew.count("took_over"),
            load=f"{os.getloadavg()[0]:.1f}",
            **more,
        )


@asynccontextmanager
async def load(
    crowd: Sequence[Member], tabs: Sequence[Tab] = (), publishes: float = PUBLISHES
) -> AsyncIterator[Load]:
    """Let members talk while the block runs, also those in pages; after it, all has come back.

    See `Load` for the arguments.
    """
    one = Load(crowd, tabs, publishes)
    await one.rooms.join()
    for page in tabs:
        await page.run("(pause) => begin(pause)", 1000 * PAUSE)
    async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
        for member in crowd:
            group.create_task(one.talk(member))
        yield one
        one.over()
        limit.reschedule(asyncio.get_running_loop().time() + DEADLINE)
    assert [member.echoed for member in crowd] == [member.sent for member in crowd]
    async with asyncio.timeout(DEADLINE):
        await one.rooms.until_heard()
    for page in tabs:
        await page.run("() => stop()", timeout=DEADLINE)
        await page.wait("member.echoed === member.sent", timeout=DEADLINE)
        found = await page.run("() => [member.sent, member.resets, member.wrong]")
        assert found[1:] == [[], []]
        one.of_pages += 2 * found[0]
