"""`Owner`: passes on the entries of the topics that this process owns."""

from __future__ import annotations

from collections.abc import Callable

from transport.bus.interface import Bus
from transport.bus.items import Entry, Publish
from transport.server.topics.owned.recipient import Distribution, Recipient
from transport.server.topics.owned.subscriber import Subscriber


class Owner:
    """Gives each publication that it is sent to all processes, its own included.

    Args:
        bus: to the others.
        subscriber: takes the entries in this process.
        now: returns the seconds of this process's clock.
    """

    def __init__(self, bus: Bus, subscriber: Subscriber, now: Callable[[], float]) -> None:
        self._bus = bus
        self._subscriber = subscriber
        self._now = now
        self._recipients: dict[str, Recipient] = {}

    @property
    def is_pending(self) -> bool:
        """Whether another process has something to take."""
        return any(each.is_pending for each in self._recipients.values())

    def publish(self, writer: str, item: Publish, done: Callable[[], None]) -> None:
        """Pass on a publication.

        Args:
            writer: the name of the process that publishes.
            item: the publication.
            done: called once every process that takes entries has taken it; perhaps at once.
        """
        entry = Entry(item.topic, writer, item.number, item.settled, item.payload)
        distribution = Distribution(entry.topic, done)
        for name in self._bus.peers:
            self._recipient(name).send(entry, distribution)
        self._subscriber.take(entry)
        distribution.taken()

    def _recipient(self, name: str) -> Recipient:
        recipient = self._recipients.get(name)
        if recipient is None:
            recipient = self._recipients[name] = Recipient(name, self._bus, self._now)
        return recipient

    def taken(self, process: str, count: int) -> None:
        """Learn that a process has taken entries."""
        if (recipient := self._recipients.get(process)) is not None:
            recipient.taken(count)

    def tick(self) -> None:
        """Look at the processes that take nothing."""
        for recipient in list(self._recipients.values()):
            recipient.tick()

    def ended(self, process: str) -> None:
        """Learn that the pipe to a process has ended."""
        if (recipient := self._recipients.get(process)) is not None:
            recipient.ended()

    def left(self, process: str) -> None:
        """Forget a process that is gone."""
        if (recipient := self._recipients.pop(process, None)) is not None:
            recipient.left()
