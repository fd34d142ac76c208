"""A store of topics with faults, in the test's event loop: `transport.protocol.topic_log` on wires.

How its connections behave is in `transport.testing.slow_server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import cast

from transport.protocol.topic_log import (
    Entry,
    Keep,
    Reading,
    TopicLog,
    Unentered,
    publish,
    read,
)
from transport.stores.journaled import Failed
from transport.stores.topics.wire import (
    Answer,
    Append,
    Appended,
    Arrived,
    Broken,
    Echo,
    Notice,
    Refused,
    Subscribed,
)
from transport.testing.slow_server import Connection, SlowServer

_BEGINNING = 1_700_000_000_000_000

LIFE = 210.0
"""Seconds for which a topic is kept after its last publication."""


class TopicModel(SlowServer):
    """A store of topics. Implements `TopicStore`.

    Args:
        seed, latency: see `SlowServer`.
        keep: how much is kept of a topic.
        room: bytes of the answer to a read.

    Attributes:
        logs: the topics.
        dismissed: when each subject was dismissed last.
        commands: how many of each kind were executed.
        topics_read: how many topics were read.
        refuses: the error with which all commands are refused; "" for none.
        broken: topics that cannot be used.
    """

    def __init__(
        self,
        seed: int = 0,
        latency: float = 0.001,
        keep: Keep | None = None,
        room: int = 1 << 20,
    ) -> None:
        super().__init__(seed, latency)
        self.keep = keep or Keep(1000, 1 << 20)
        self.room = room
        self.logs: dict[str, TopicLog] = {}
        self.dismissed: dict[str, int] = {}
        self.commands: dict[str, int] = {}
        self.topics_read = 0
        self.refuses = ""
        self.broken: set[str] = set()
        self.entered: list[tuple[str, Entry]] = []
        """Every entry that was ever made, with its topic."""
        self._written: dict[str, float] = {}
        self._offset = 0

    # TopicStore

    def publish_wire(self) -> ModelPublishWire:
        return ModelPublishWire(self)

    def read_wire(self) -> ModelReadWire:
        return ModelReadWire(self)

    def subscribe_wire(self) -> ModelSubscribeWire:
        return ModelSubscribeWire(self)

    # Faults

    def snapshot(self) -> dict[str, TopicLog]:
        return dict(self.logs)

    def go_back(self, logs: dict[str, TopicLog]) -> None:
        """Replace the data by an earlier `snapshot`, as a replica does that takes over.

        All connections end, and what was sent over them and the ones before is not executed.
        """
        self.logs = dict(logs)
        for connection in list(self.connections):
            connection.kill()

    def flush(self) -> None:
        """Lose all data. Connections stay, but nothing is left of those that were dropped."""
        self.logs.clear()
        self.dismissed.clear()
        for connection in list(self.connections):
            if not connection.is_open:
                connection.kill()

    # The server

    def now(self) -> int:
        """Return the time in microseconds; no two commands have the same."""
        self._offset += 1
        time = asyncio.get_running_loop().time()
        return _BEGINNING + round(time * 1_000_000) + self._offset

    def log(self, topic: str) -> TopicLog | None:
        log = self.logs.get(topic)
        if log is not None and self._written[topic] + LIFE < asyncio.get_running_loop().time():
            del self.logs[topic]
            return None
        return log

    def append(self, append: Append) -> Answer:
        """Execute a publication."""
        self._check("publish")
        topic = append.topic
        if topic in self.broken:
            return Failed("WRONGTYPE")
        now = self.now()
        log, entry = publish(self.log(topic), append.publication, self.keep, now)
        if entry is Unentered.EARLY:
            return entry
        if isinstance(entry, Entry):
            self.logs[topic] = log
            self._written[topic] = asyncio.get_running_loop().time()
            if append.dismisses is not None:
                self.dismissed[append.dismisses] = now
            self.entered.append((topic, entry))
            self.tell(topic, Arrived(topic, entry))
        return Appended(log.last, now)

    def read(self, asked: Sequence[tuple[str, int]]) -> list[Reading | Failed]:
        """Execute a read."""
        self._check("read")
        self.topics_read += len(asked)
        return [
            Failed("WRONGTYPE")
            if topic in self.broken
            else read(self.log(topic), after, self.room, self.now())
            for topic, after in asked
        ]

    def count(self, kind: str) -> None:
        self.commands[kind] = self.commands.get(kind, 0) + 1

    def _check(self, kind: str) -> None:
        if self.refuses:
            raise Refused(self.refuses)
        self.count(kind)


class _Wire:
    """What the wires of all kinds have."""

    def __init__(self, store: TopicModel) -> None:
        self.store = store
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection. Raises `Broken` without one."""
        if self._connection is None or not self._connection.is_open:
            raise Broken("not connected")
        return self._connection

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection that has not ended."""
        return self._connection is not None and self._connection.is_open

    async def _connect(self) -> int:
        assert self._connection is None or not self._connection.is_open
        await self.store.ready()
        if self.store.refuses:
            raise Refused(self.store.refuses)
        self._connection = Connection(self.store)
        return self.store.now()

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.end()


class ModelPublishWire(_Wire):
    """Implements `PublishWire`."""

    async def connect(self) -> int:
        return await self._connect()

    async def publish(self, appends: Sequence[Append]) -> Sequence[Answer]:
        return await self.connection.execute(*(partial(self.store.append, a) for a in appends))


class ModelReadWire(_Wire):
    """Implements `ReadWire`."""

    async def connect(self) -> None:
        await self._connect()

    async def read(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reading | Failed]:
        [answer] = await self.connection.execute(partial(self.store.read, asked))
        return cast("list[Reading | Failed]", answer)

    async def dismissals(self, subjects: Sequence[str]) -> Sequence[int]:
        def execute() -> list[int]:
            self.store.count("dismissals")
            return [self.store.dismissed.get(subject, 0) for subject in subjects]

        [answer] = await self.connection.execute(execute)
        return cast("list[int]", answer)

    async def echo(self, token: str) -> None:
        await self.connection.execute(partial(self.store.tell, "", Echo(token)))


class ModelSubscribeWire(_Wire):
    """Implements `SubscribeWire`."""

    async def connect(self) -> None:
        await self._connect()
        self.connection.topics.add("")

    async def subscribe(self, topics: Sequence[str]) -> None:
        connection = self.connection

        def execute() -> None:
            self.store.count("subscribe")
            connection.topics.update(topics)
            connection.send(*map(Subscribed, topics))

        await connection.execute(execute)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        connection = self.connection
        await connection.execute(partial(connection.topics.difference_update, topics))

    async def receive(self) -> Notice:
        return await self.connection.receive()
