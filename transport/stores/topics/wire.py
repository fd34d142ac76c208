"""The connections of a process for topics, as a store offers them.

The rules (when to repeat, to read, to subscribe) do not depend on the store: Redis and the model of
the tests are the same to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from transport.protocol.topic_log import Entry, Publication, Reading, Unentered
from transport.stores.journaled import Failed

ANSWER_WITHIN = 3.0
"""Seconds for an answer of the store, a connection included."""


class Broken(Exception):
    """The connection could not be made, or has broken, or the server refuses what it is asked.

    What was asked may still happen. The text says why.
    """


class Refused(Broken):
    """The server answers, and refuses what it is asked; the text has its error."""


class Append(Struct, frozen=True):
    """A publication, and where it goes.

    Attributes:
        topic: the name of the topic.
        publication: see `Publication`.
        dismisses: the subject that it dismisses: the store notes the time of it in the same
            operation. None for other publications.
    """

    topic: str
    publication: Publication
    dismisses: str | None = None


class Appended(Struct, frozen=True):
    """A publication is in the log.

    Attributes:
        number: of the last entry of the topic: this one, or for a repetition perhaps a later one.
        now: the store's time in microseconds.
    """

    number: int
    now: int


Answer: TypeAlias = Appended | Unentered | Failed
"""Of `Unentered` only `EARLY`. `Failed`: the topic cannot be used; the text says why."""


class PublishWire(Protocol):
    """A connection for publications, used by one task. All methods raise `Broken`.

    A call that was cancelled leaves it unusable: it must be dropped.
    """

    async def connect(self) -> int:
        """Connect, and return the store's time in microseconds."""
        ...

    async def publish(self, appends: Sequence[Append]) -> Sequence[Answer]:
        """Publish in this order, and return what became of each."""
        ...

    def drop(self) -> None:
        """End the connection, without waiting; it may be connected again."""
        ...


class ReadWire(Protocol):
    """A connection that reads, used by one task. All methods raise `Broken`.

    A call that was cancelled leaves it unusable: it must be dropped.
    """

    async def connect(self) -> None:
        """Connect."""
        ...

    async def read(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reading | Failed]:
        """Read entries of topics, each above a cursor."""
        ...

    async def dismissals(self, subjects: Sequence[str]) -> Sequence[int]:
        """Return when each of the subjects was dismissed last, by the store's time; 0 for never."""
        ...

    async def echo(self, token: str) -> None:
        """Send a token to `SubscribeWire.receive` of this process, as entries are sent."""
        ...

    def drop(self) -> None:
        """End the connection, without waiting; it may be connected again."""
        ...


class Subscribed(Struct, frozen=True):
    """Each entry that is published from now on arrives.

    Attributes:
        topic: the name of the topic.
    """

    topic: str


class Arrived(Struct, frozen=True):
    """An entry of a subscribed topic.

    Attributes:
        topic: the name of the topic.
        entry: the entry.
    """

    topic: str
    entry: Entry


class Echo(Struct, frozen=True):
    """What `ReadWire.echo` has sent.

    Attributes:
        token: the token.
    """

    token: str


Notice: TypeAlias = Subscribed | Arrived | Echo


class SubscribeWire(Protocol):
    """A connection on which entries arrive. All methods raise `Broken`.

    One task receives, while another subscribes.
    """

    async def connect(self) -> None:
        """Connect, subscribed to no topic."""
        ...

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for the entries of topics; `Subscribed` follows for each, in this order."""
        ...

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask for no more entries of topics."""
        ...

    async def receive(self) -> Notice:
        """Return what arrives next; waits for it."""
        ...

    def drop(self) -> None:
        """End the connection, without waiting; it may be connected again."""
        ...


class TopicStore(Protocol):
    """Makes the connections of one process to the topics of one hub."""

    def publish_wire(self) -> PublishWire:
        """Return a connection for publications, not connected yet."""
        ...

    def read_wire(self) -> ReadWire:
        """Return a connection that reads, not connected yet."""
        ...

    def subscribe_wire(self) -> SubscribeWire:
        """Return a connection on which entries arrive, not connected yet."""
        ...
