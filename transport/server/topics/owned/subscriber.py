"""`Subscriber`: takes the entries of all topics in one process."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Protocol

from transport.bus.interface import Pipe
from transport.bus.items import ANY_TOPIC, Entry, LeftOut, Missed, Taken
from transport.bus.text import decode_text
from transport.protocol.codec import Payload
from transport.server.topics.owned.seen import Seen

MAX_GONE = 64
"""Writers that are gone, of which a late entry may still come."""


class Members(Protocol):
    """The channels of a process that topics reach."""

    def deliver(self, topic: str, payload: Payload) -> None:
        """Send a message to the members of a topic. Does not raise."""
        ...

    def topics(self) -> Iterable[str]:
        """Return the topics that may have members."""
        ...

    def reset(self, topics: Iterable[str]) -> None:
        """Reset the members of these topics: they have missed a message."""
        ...


class Subscriber:
    """Takes each entry once, and tells the owner.

    Args:
        members: who gets the entries.
        lives: returns whether a process, by its name, is this one or a known other one.
        was_stopped: returns whether this process may have been left out just now.
        loop: the running event loop.
    """

    def __init__(
        self,
        members: Members,
        lives: Callable[[str], bool],
        was_stopped: Callable[[], bool],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._members = members
        self._lives = lives
        self._was_stopped = was_stopped
        self._loop = loop
        self._writers: dict[str, Seen] = {}
        self._gone: deque[str] = deque()
        self._untold: Counter[Pipe] = Counter()
        """What was taken in this turn of the loop."""
        self._left_out_by: set[str] = set()
        """The owners that have left this process out, and have not said yet what it missed."""

    def received(self, pipe: Pipe, item: Entry | LeftOut | Missed) -> None:
        """Take an item of an owner."""
        match item:
            case Entry():
                self._count(pipe)
                self.take(item)
            case LeftOut():
                self._left_out_by.add(pipe.peer)
            case Missed(topics):
                self._count(pipe)
                self._left_out_by.discard(pipe.peer)
                if ANY_TOPIC in topics:
                    self._members.reset(self._members.topics())
                else:
                    self._members.reset([decode_text(topic) for topic in topics])

    def take(self, entry: Entry) -> None:
        """Deliver an entry, unless it was taken before."""
        seen = self._writers.get(entry.writer)
        if seen is None:
            seen = self._writers[entry.writer] = Seen()
            if not self._lives(entry.writer):
                self._forget_later(entry.writer)
        if seen.take(entry.topic, entry.number, entry.settled):
            self._members.deliver(decode_text(entry.topic), entry.payload)

    def left(self, process: str) -> None:
        """Learn that a process is gone, as an owner and as a writer."""
        # `LeftOut` may have been behind what a socket holds, and so ended with its sender.
        if process in self._left_out_by or self._was_stopped():
            self._left_out_by.discard(process)
            # What was missed is not known any longer. Any topic may have been among it: an owner
            # also stands in for others that are silent.
            self._members.reset(self._members.topics())
        if process in self._writers:
            self._forget_later(process)

    def _forget_later(self, writer: str) -> None:
        self._gone.append(writer)
        if len(self._gone) > MAX_GONE:
            self._writers.pop(self._gone.popleft(), None)

    def _count(self, pipe: Pipe) -> None:
        if not self._untold:
            self._loop.call_soon(self._tell)
        self._untold[pipe] += 1

    def _tell(self) -> None:
        told, self._untold = self._untold, Counter()
        for pipe, count in told.items():
            pipe.send(Taken(count))
