"""`Recipient`: another process, as the owner of topics passes entries on to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transport.bus.interface import Bus, NotReached, Pipe
from transport.bus.items import ANY_TOPIC, Entry, LeftOut, Missed
from transport.telemetry.log import INFO, WARNING, log_event

LEFT_OUT_AFTER = 3.0
"""Seconds in which a process that is not stopped takes an entry."""

MAX_MISSED = 1000
"""Topics that are remembered one by one while a process is left out."""


class Distribution:
    """One entry on its way to the other processes.

    Args:
        topic: of the entry.
        done: called when no process is waited for any longer.
    """

    __slots__ = ("_done", "_waiting", "topic")

    def __init__(self, topic: bytes, done: Callable[[], None]) -> None:
        self.topic = topic
        self._done = done
        self._waiting = 1
        """Processes that have not taken it; one more until it was sent to all."""

    def expect(self) -> None:
        """Wait for one more process."""
        self._waiting += 1

    def taken(self) -> None:
        """Wait for one less."""
        self._waiting -= 1
        if self._waiting == 0:
            self._done()


@dataclass(slots=True, eq=False)
class Untaken:
    """Something that a process has not taken yet.

    Attributes:
        item: what was sent.
        topics: of which the process misses something if it never takes it.
        distribution: of the entry; None if nobody waits for it any longer.
    """

    item: Entry | Missed
    topics: Sequence[bytes]
    distribution: Distribution | None


class Recipient:
    """What one other process has yet to take.

    Args:
        name: of the process.
        bus: to it.
        now: returns the seconds of this process's clock.
    """

    def __init__(self, name: str, bus: Bus, now: Callable[[], float]) -> None:
        self._name = name
        self._bus = bus
        self._now = now
        self._pipe: Pipe | None = None
        """On which everything in `_untaken` was sent; None while the process is out of reach."""
        self._untaken: deque[Untaken] = deque()
        self._since = 0.0
        """When it last took something, or had nothing to take."""
        self._missed: set[bytes] | None = None
        """While it is left out, the topics of which it misses an entry."""

    @property
    def is_pending(self) -> bool:
        """Whether it has something to take, or to be told."""
        return bool(self._untaken) or self._missed is not None

    def send(self, entry: Entry, distribution: Distribution) -> None:
        """Send an entry, or remember that this process misses it."""
        if self._missed is not None:
            self._miss(entry.topic)
        else:
            distribution.expect()
            self._send(Untaken(entry, (entry.topic,), distribution))

    def _miss(self, topic: bytes) -> None:
        assert self._missed is not None
        self._missed.add(topic)
        if len(self._missed) > MAX_MISSED:
            self._missed = {ANY_TOPIC}

    def taken(self, count: int) -> None:
        """Learn that it has taken what was sent, the oldest first."""
        self._since = self._now()
        for _ in range(min(count, len(self._untaken))):
            untaken = self._untaken.popleft()
            if untaken.distribution is not None:
                untaken.distribution.taken()
        self._tell()

    def tick(self) -> None:
        """Send again what was cut off. Leave the process out if it takes nothing."""
        if self._pipe is None and (pipe := self._reached()) is not None:
            self._pipe = pipe
            for untaken in self._untaken:
                pipe.send(untaken.item)
        if not self._untaken:
            self._tell()
        elif self._missed is None and self._now() - self._since > LEFT_OUT_AFTER:
            self._leave_out()

    def ended(self) -> None:
        """Learn that the pipe has ended: what was not taken may be lost.

        It is sent again on the next one. What was given up is told by `Missed`.
        """
        self._pipe = None
        self._untaken = deque(
            each
            for each in self._untaken
            if each.distribution is not None or isinstance(each.item, Missed)
        )

    def left(self) -> None:
        """Learn that the process is gone."""
        self._give_up()

    def _leave_out(self) -> None:
        log_event(
            WARNING,
            "left_out",
            "another worker of this server has taken nothing for 3 s: it is stopped, or a handler "
            "blocks its event loop. Nobody waits for it any longer; those of its channels that "
            "miss a message of a group will be reset",
            peer=self._name,
        )
        self._missed = {topic for untaken in self._untaken for topic in untaken.topics}
        self._give_up()
        if self._pipe is not None:
            self._pipe.send(LeftOut())
        else:
            self._untaken.clear()

    def _give_up(self) -> None:
        """Wait no longer for the process to take what it was sent.

        From now on the entries count as settled. If the process does take one of them later, it
        drops it as a repetition; so it is told that it missed all of them.
        """
        for untaken in list(self._untaken):
            distribution, untaken.distribution = untaken.distribution, None
            if distribution is not None:
                distribution.taken()

    def _tell(self) -> None:
        """Tell the process what it missed: it takes something again, or can be reached again."""
        if self._missed is not None and self._pipe is not None:
            log_event(INFO, "taken_back", "another worker takes messages again", peer=self._name)
            topics, self._missed = sorted(self._missed), None
            self._send(Untaken(Missed(topics), topics, None))

    def _send(self, untaken: Untaken) -> None:
        if not self._untaken:
            self._since = self._now()
            self._pipe = self._reached()
        self._untaken.append(untaken)
        if self._pipe is not None:
            self._pipe.send(untaken.item)

    def _reached(self) -> Pipe | None:
        try:
            return self._bus.pipe_to(self._name)
        except NotReached:
            return None
