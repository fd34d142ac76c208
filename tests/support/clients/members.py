"""Members of a group, each a client over one transport, which check what they get.

Their application is `tests/integration/workers/app.py`, or answers as that does.

async with members(url, 3) as crowd:  # over each transport
    await crowd[0].echo()
    await crowd[0].say()
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.support.clients.frame_client import TRANSPORTS
from transport import SessionReset, connect
from transport.client import Channel, Pacing
from transport.waiting import Waiters

DEADLINE = 300.0 if "full" in (os.environ.get("WORKERS"), os.environ.get("REDIS")) else 60.0
"""Seconds. The full forms of a campaign have many clients."""
TOGETHER = 16
"""How many open their channels at the same time: each takes this process some milliseconds."""
PACING = Pacing(retry_base=0.05, retry_max=0.5)


class Member(Waiters):
    """A client, and what it has received.

    Args:
        name: of the member, unique among all.
        channel: its channel.

    Attributes:
        pid: the process of its handler; 0 until it has said so.
        echoed: the number of the last echo.
        said: how often it has published.
        heard: the numbers that it has heard, in order, by the name of the member that said them.
        is_held: whether its handler has begun a message that never ends.
        resets: the reasons of its resets.
        take: called with every message of another kind; by default, there must be none.
    """

    def __init__(self, name: str, channel: Channel) -> None:
        super().__init__()
        self.name = name
        self.channel = channel
        self.pid = 0
        self.sent = 0
        self.echoed = 0
        self.said = 0
        self.heard: defaultdict[str, list[int]] = defaultdict(list)
        self.is_held = False
        self.resets: list[str] = []
        self.take: Callable[[object], None] = _refuse

    async def listen(self) -> None:
        """Receive for ever."""
        while True:
            try:
                message = await self.channel.receive()
            except SessionReset as reset:
                self.pid = 0
                self.resets.append(reset.reason)
            else:
                match message:
                    case {"pid": int(pid)}:
                        self.pid = pid
                    case {"said": [str(name), int(number)]}:
                        numbers = self.heard[name]
                        assert not numbers or numbers[-1] < number, (name, numbers[-1], number)
                        numbers.append(number)
                    case {"held": _}:
                        self.is_held = True
                    case int(number):
                        assert number == self.echoed + 1, (number, self.echoed)
                        self.echoed = number
                    case _:
                        self.take(message)
            self.changed()

    async def until_served(self) -> None:
        """Wait until a handler runs for it."""
        await self.until(lambda: self.pid > 0)

    async def until_reset(self) -> None:
        """Wait until it has been reset once more."""
        before = len(self.resets)
        await self.until(lambda: len(self.resets) > before)

    async def until_heard_of(self, others: Sequence[Member]) -> None:
        """Wait until each of the others has said something that it has heard."""
        await self.until(lambda: all(self.heard[other.name] for other in others))

    async def until_heard(self, other: Member) -> None:
        """Wait until it has heard everything that another one has said."""
        await self.until(lambda: len(self.heard[other.name]) == other.said)
        assert self.heard[other.name] == list(range(1, other.said + 1))

    async def echo(self) -> None:
        """Send a number, and wait until it has come back, or the session was reset."""
        before = len(self.resets)
        self.sent += 1
        await self.channel.send(self.sent)
        await self.until(lambda: self.echoed == self.sent or len(self.resets) > before)

    async def say(self) -> None:
        """Publish a number to all members, and wait until the handler has done so."""
        self.said += 1
        number = await self.channel.send({"say": [self.name, self.said]})
        await self.channel.acknowledged(number)


def _refuse(message: object) -> None:
    raise AssertionError(message)


@asynccontextmanager
async def members(
    url: str, count: int, transports: Sequence[str] = TRANSPORTS, first: int = 0
) -> AsyncIterator[list[Member]]:
    """Connect ``count`` members over each transport; on entry each knows its process.

    An exception of a member, such as for a message out of order, ends the block.

    Args:
        url: of the channel.
        count: members for each transport.
        transports: their transports.
        first: the number of the first one, in its name.
    """
    crowd: list[Member] = []
    names = [f"{name}-{first + number}" for number in range(count) for name in transports]
    may_open = asyncio.Semaphore(TOGETHER)

    async def take_part(name: str) -> None:
        transport = name.partition("-")[0]
        async with AsyncExitStack() as stack:
            async with may_open:
                channel = await stack.enter_async_context(
                    connect(
                        url,
                        transports=[transport],
                        pacing=PACING,
                        trust_env=False,
                        timeout=DEADLINE,
                    )
                )
                member = Member(name, channel)
                listening = asyncio.create_task(member.listen())
                stack.callback(listening.cancel)
                await member.until_served()
            crowd.append(member)
            if len(crowd) == len(names):
                has_all.set()
            await listening

    has_all = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(take_part(name)) for name in names]
        async with asyncio.timeout(DEADLINE):
            await has_all.wait()
        yield crowd
        for task in tasks:
            task.cancel()
