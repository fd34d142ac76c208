"""`Recipient`: another process, as the owner of topics passes entries on to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from transport.bus.interface import Bus, NotReached, Pipe
from transport.bus.items import Entry, LeftOut, Missed
from transport.telemetry.log import WARNING, log_event

LEFT_OUT_AFTER = 3.0
"""Seconds in which a process that is not stopped takes an entry."""


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
        """Processes that have not taken it; 1 more until `sent` to all."""

    def sent(self) -> None:
        """Wait for one more process."""
        self._waiting += 1

    def taken(self) -> None:
        """Wait for one less."""
        self._waiting -= 1
        if self._waiting == 0:
            self._done()


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
        self._untaken: deque[tuple[list[bytes], Distribution | None]] = deque()
        """What was sent: its topics, and the entry that waits for it, if any does still."""
        self._since = 0.0
        """When it last took something, or had nothing to take."""
        self._missed: set[bytes] | None = None
        """The topics of which it misses an entry, while it is left out or out of reach."""

    @property
    def is_pending(self) -> bool:
        """Whether it has something to take, or to be told."""
        return bool(self._untaken) or self._missed is not None

    def send(self, entry: Entry, distribution: Distribution) -> None:
        """Send an entry, or remember that this process misses it."""
        if self._missed is None and (pipe := self._pipe()) is not None:
            distribution.sent()
            self._send(pipe, entry, [entry.topic], distribution)
        else:
            self._miss([entry.topic])

    def taken(self, count: int) -> None:
        """Learn that it has taken what was sent, the oldest first."""
        self._since = self._now()
        for _ in range(min(count, len(self._untaken))):
            _, distribution = self._untaken.popleft()
            if distribution is not None:
                distribution.taken()
        self._tell()

    def tick(self) -> None:
        """Leave the process out if it takes nothing; tell it what it missed if it is back."""
        if not self._untaken:
            self._tell()
        elif self._missed is None and self._now() - self._since > LEFT_OUT_AFTER:
            log_event(
                WARNING,
                "left_out",
                "another worker of this server takes nothing, so nobody waits for it: those of its "
                "channels that miss a message of a group will be reset",
                peer=self._name,
            )
            self._give_up()
            if (pipe := self._pipe()) is not None:
                pipe.send(LeftOut())

    def ended(self) -> None:
        """Learn that the pipe has ended: what was not taken may be lost."""
        if self._untaken:
            self._give_up()
            self._untaken.clear()

    def _give_up(self) -> None:
        """Wait no longer for what was sent.

        The process may take it yet. But then it counts as settled, and a process that takes it so
        late cannot tell it from what it has taken before.
        """
        given_up, self._untaken = self._untaken, deque((each, None) for each, _ in self._untaken)
        for topics, _ in given_up:
            self._miss(topics)
        for _, distribution in given_up:
            if distribution is not None:
                distribution.taken()

    def _miss(self, topics: Iterable[bytes]) -> None:
        if self._missed is None:
            self._missed = set()
        self._missed.update(topics)

    def _tell(self) -> None:
        """Tell the process what it missed, if it is within reach."""
        if self._missed is not None and (pipe := self._pipe()) is not None:
            topics, self._missed = sorted(self._missed), None
            self._send(pipe, Missed(topics), topics, None)

    def _send(
        self, pipe: Pipe, item: Entry | Missed, topics: list[bytes], waiting: Distribution | None
    ) -> None:
        if not self._untaken:
            self._since = self._now()
        pipe.send(item)
        self._untaken.append((topics, waiting))

    def _pipe(self) -> Pipe | None:
        try:
            return self._bus.pipe_to(self._name)
        except NotReached:
            return None
