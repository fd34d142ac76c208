"""`Topics`: the publications of a hub that has several processes."""

from __future__ import annotations

import asyncio

from transport.bus.interface import Bus, Pipe
from transport.bus.items import Entry, LeftOut, Missed, Publish, Published, Taken, TopicItem
from transport.protocol.codec import Payload
from transport.server.clock import Clock
from transport.server.topics.owned.owner import Owner
from transport.server.topics.owned.recipient import LEFT_OUT_AFTER
from transport.server.topics.owned.subscriber import Members, Subscriber
from transport.server.topics.owned.writer import PASSED_OVER_AFTER, Writer

TICK_INTERVAL = 0.25
"""Seconds between two looks at the processes that do not answer."""

STOOD_STILL = LEFT_OUT_AFTER - 2 * TICK_INTERVAL
"""Seconds of the shortest stop for which an owner may have left this process out. It may be shorter
than the owner's own count, which begins with the last entry that was taken."""


class Topics:
    """Publishes, owns topics and takes entries, for one process.

    Args:
        bus: to the other processes.
        members: the channels of this process.
        clock: the process's.
    """

    def __init__(self, bus: Bus, members: Members, clock: Clock) -> None:
        self._bus = bus
        self._members = members
        self._loop = clock.loop
        self._clock = clock
        self._subscriber = Subscriber(members, self._lives, self._was_stopped, clock.loop)
        self._owner = Owner(bus, self._subscriber, clock.now)
        self._writer = Writer(bus, self._owner, clock.now)
        self._early: list[tuple[Pipe, Publish]] | None = []
        """Publications that came before this process knew all others."""
        self._unheard: set[str] = set()
        """Older processes that may not know this one yet: they did not answer when it began."""
        self._timer: asyncio.TimerHandle | None = None

    async def publish(self, topic: str, payload: Payload) -> None:
        """Send a message to the members of a topic in all processes.

        Returns when every process that takes entries has taken it. If the caller is cancelled
        before, it is sent nevertheless.

        Raises:
            RuntimeError: this process stopped first; perhaps not all have got it.
        """
        taken = self._writer.publish(topic, payload)
        self._watch()
        await taken

    def begin(self) -> None:
        """Pass on what others publish: all other processes are known, so it can reach them."""
        self._unheard = {each for each in self._bus.peers if not self._bus.receives_from(each)}
        early, self._early = self._early, None
        for pipe, item in early or ():
            self._publish(pipe, item)

    def received(self, pipe: Pipe, item: TopicItem) -> None:
        """Take an item."""
        match item:
            case Publish() if self._early is not None:
                self._early.append((pipe, item))
            case Publish():
                self._publish(pipe, item)
            case Published(number):
                self._writer.answered(pipe.peer, number)
            case Taken(count):
                self._owner.taken(pipe.peer, count)
            case Entry() | LeftOut() | Missed():
                self._subscriber.received(pipe, item)

    def opened(self, pipe: Pipe) -> None:
        """Learn that a pipe is open: what was cut off before is sent again."""
        if pipe.is_own:
            self._owner.tick()
        elif pipe.peer in self._unheard:
            self._meet_late(pipe.peer)

    def _meet_late(self, process: str) -> None:
        """Reset all members: the process may have passed on entries before it knew this one."""
        self._unheard.discard(process)
        self._members.reset(self._members.topics())

    def ended(self, pipe: Pipe) -> None:
        """Learn that a pipe has ended."""
        if pipe.is_own:
            self._owner.ended(pipe.peer)
            self._writer.ended(pipe.peer)
            self._watch()

    def left(self, process: str) -> None:
        """Learn that a process is gone."""
        if process in self._unheard:
            self._meet_late(process)
        self._owner.left(process)
        self._subscriber.left(process)

    def tick(self) -> None:
        """Look at the processes that do not answer."""
        self._owner.tick()
        self._writer.tick()

    def stop(self) -> None:
        """Publish and take nothing any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writer.stop()

    def _lives(self, process: str) -> bool:
        return process == self._bus.name or process in self._bus.peers

    def _was_stopped(self) -> bool:
        return self._clock.was_stopped(STOOD_STILL, within=PASSED_OVER_AFTER)

    def _publish(self, pipe: Pipe, item: Publish) -> None:
        number = item.number
        self._owner.publish(pipe.peer, item, lambda: pipe.send(Published(number)))
        self._watch()

    def _watch(self) -> None:
        """Look at the processes that do not answer, until all have."""
        if self._timer is None and (self._owner.is_pending or self._writer.is_pending):
            self._timer = self._loop.call_later(TICK_INTERVAL, self._due)

    def _due(self) -> None:
        self._timer = None
        self.tick()
        self._watch()
