"""`Writer`: what a process publishes, until every other one has taken it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from transport.bus.interface import Bus, NotReached
from transport.bus.items import Publish
from transport.bus.ranks import ranked
from transport.bus.text import encode_text
from transport.protocol.codec import Payload
from transport.server.topics.owned.owner import Owner
from transport.server.topics.owned.recipient import LEFT_OUT_AFTER
from transport.waiting import resolve

PASSED_OVER_AFTER = LEFT_OUT_AFTER + 1.0
"""Seconds after which a silent owner is passed over. It may itself wait for a stopped process."""


@dataclass(slots=True, eq=False)
class Publication:
    """One message for a topic.

    Attributes:
        topic, payload: see `Publish`.
        number: among all publications of this process.
        taken: resolved once every process has taken it.
    """

    topic: bytes
    payload: Payload
    number: int
    taken: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Backlog:
    """The publications of one topic that have no answer yet.

    Attributes:
        owner: that they were sent to.
        sent: those that were.
        held: those that go to another owner, once all these are answered.
    """

    owner: str
    sent: dict[int, Publication] = field(default_factory=dict)
    held: dict[int, Publication] = field(default_factory=dict)


class Writer:
    """Sends publications to the owners of their topics.

    Args:
        bus: to the other processes.
        owner: of the topics that are owned here.
        now: returns the seconds of this process's clock.
    """

    def __init__(self, bus: Bus, owner: Owner, now: Callable[[], float]) -> None:
        self._bus = bus
        self._owner = owner
        self._now = now
        self._numbers = itertools.count(1)
        self._unanswered: dict[int, Publication] = {}
        """In the order of their numbers."""
        self._backlogs: dict[bytes, Backlog] = {}
        self._heard: dict[str, float] = {}
        """When each owner that has something to answer last answered, or was asked first."""
        self._silent: set[str] = set()
        """The owners that are passed over until they answer."""

    @property
    def is_pending(self) -> bool:
        """Whether something has no answer yet."""
        return bool(self._unanswered)

    def publish(self, topic: str, payload: Payload) -> asyncio.Future[None]:
        """Publish a message; return a future that is resolved once every process has taken it."""
        key = encode_text(topic)
        taken = asyncio.get_running_loop().create_future()
        publication = Publication(key, payload, next(self._numbers), taken)
        self._unanswered[publication.number] = publication
        owner = self._owner_of(key)
        backlog = self._backlogs.get(key)
        if backlog is None:
            backlog = self._backlogs[key] = Backlog(owner)
        if backlog.owner == owner and not backlog.held:
            backlog.sent[publication.number] = publication
            self._send(owner, publication)
        else:
            backlog.held[publication.number] = publication
        return taken

    def answered(self, owner: str, number: int) -> None:
        """Learn that every process has taken a publication."""
        self._silent.discard(owner)
        self._heard[owner] = self._now()
        publication = self._unanswered.pop(number, None)
        if publication is None:
            return  # the answer of an owner that was passed over
        resolve(publication.taken)
        backlog = self._backlogs[publication.topic]
        del backlog.sent[number]
        if backlog.sent:
            return
        if backlog.held:
            self._move(publication.topic, backlog)
        else:
            del self._backlogs[publication.topic]

    def tick(self) -> None:
        """Pass over owners that do not answer."""
        waiting = {backlog.owner for backlog in self._backlogs.values()} - {self._bus.name}
        now = self._now()
        self._heard = {owner: self._heard.get(owner, now) for owner in waiting}
        for owner, heard in list(self._heard.items()):
            if now - heard > PASSED_OVER_AFTER:
                self._silent.add(owner)
                # To this process: others may be silent, too, and each would take as long.
                self._pass_over(owner, self._bus.name)

    def ended(self, process: str) -> None:
        """Learn that the pipe to an owner has ended: nobody knows what it has taken."""
        self._silent.discard(process)
        self._pass_over(process)

    def stop(self) -> None:
        """Fail what has no answer: this process leaves the others."""
        for publication in self._unanswered.values():
            if not publication.taken.done():
                publication.taken.set_exception(
                    RuntimeError(
                        "the hub stopped before every worker had taken the message; some of its "
                        "channels may have got it"
                    )
                )
        self._unanswered.clear()
        self._backlogs.clear()

    def _owner_of(self, topic: bytes) -> str:
        for name in ranked(topic, {self._bus.name, *self._bus.peers} - self._silent):
            if name == self._bus.name or self._is_reached(name):
                return name
        raise AssertionError("this process reaches itself")

    def _is_reached(self, process: str) -> bool:
        try:
            self._bus.pipe_to(process)
        except NotReached:
            return False
        return True

    def _pass_over(self, process: str, instead: str | None = None) -> None:
        self._heard.pop(process, None)
        for topic, backlog in list(self._backlogs.items()):
            if backlog.owner == process:
                self._move(topic, backlog, instead)

    def _move(self, topic: bytes, backlog: Backlog, owner: str | None = None) -> None:
        """Send all publications of a topic to its owner of now or to this one, in order."""
        backlog.owner = owner or self._owner_of(topic)
        backlog.sent |= backlog.held
        backlog.held = {}
        for publication in list(backlog.sent.values()):
            self._send(backlog.owner, publication)

    def _send(self, owner: str, publication: Publication) -> None:
        number = publication.number
        settled = next(iter(self._unanswered)) - 1
        item = Publish(publication.topic, number, settled, publication.payload)
        if owner == self._bus.name:
            self._owner.publish(owner, item, lambda: self.answered(owner, number))
        else:
            self._heard.setdefault(owner, self._now())
            with suppress(NotReached):  # its end, which may come inside `send`, is told next
                self._bus.pipe_to(owner).send(item)
