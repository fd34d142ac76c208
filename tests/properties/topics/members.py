"""Processes and their members, in schedules of random faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from transport.errors import StoreUnavailable
from transport.protocol.topic_log import Entry
from transport.server.topics.stored.log_reader import LogReader
from transport.server.topics.stored.stored_topics import StoredTopics

if TYPE_CHECKING:
    from tests.properties.topics.group import Run

TOPICS = ("g/a", "*")

Message = tuple[str, int]
"""The writer and the serial of a publication."""


@dataclass(slots=True)
class Record:
    """What the store has of a member: all of it changes in one step.

    Attributes:
        cursor: see `Member`; None if the member has not begun.
        got: the entries that it took.
        has_taken: whether the cursor is stored because of an entry.
    """

    cursor: int | None = None
    doubt: int = 0
    got: list[Entry] = field(default_factory=list)
    has_taken: bool = False


class Session:
    """A member of one topic. Implements `Member`."""

    def __init__(self, run: Run, name: str, topic: str) -> None:
        self.run = run
        self.id = name
        self.topic = topic
        self.process: Process
        self.stored = Record()
        self.now = Record()
        self.base = 0
        """The cursor with which it began."""
        self.came_with = 0
        """The cursor with which it came to its process."""
        self.was_reset = False
        self.began_at = 0.0
        self.moved_at = 0.0
        self.has_joined = False

    @property
    def doubt(self) -> int:
        return self.now.doubt

    def suspect(self, number: int) -> None:
        self.now.doubt = number

    @property
    def cursor(self) -> int:
        assert self.now.cursor is not None
        return self.now.cursor

    def begin(self, cursor: int) -> None:
        assert self.now.cursor is None
        self.now.cursor = self.base = cursor
        self.began_at = asyncio.get_running_loop().time()
        self.step()  # `Group.add` returns when this is stored

    def offer(self, entry: Entry) -> bool:
        if self.was_reset:
            return False
        if self.run.overflows():
            self.reset()
            return False
        self.now.got.append(entry)
        self.now.has_taken = True
        self.move(entry.number)
        return True

    def move(self, cursor: int) -> None:
        self.now.cursor = cursor

    def skip(self, number: int) -> None:
        self.now.cursor = number

    def reset(self) -> None:
        self.was_reset = True
        self.run.resets += 1

    def step(self) -> None:
        """Store what there is."""
        self.stored = replace(self.now, got=list(self.now.got))

    def restore(self) -> None:
        """Go back to what is stored: the home is gone."""
        self.now = replace(self.stored, got=list(self.stored.got))


class WatchedReader(LogReader):
    """A reader that notes what it has seen."""

    def __init__(self, ask: Callable[[], None], tell: Callable[[int], None]) -> None:
        super().__init__(ask, tell)
        self.saw: dict[Message, int] = {}

    def _take(self, entry: Entry) -> None:
        if not entry.is_mark:
            self.saw.setdefault((entry.writer, entry.serial), entry.number)
        super()._take(entry)


class Process:
    """One process."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.topics = StoredTopics(run.store)
        self.task = asyncio.create_task(self.topics.run())
        self.sessions: list[Session] = []
        self.joins: list[asyncio.Task[None]] = []
        self.answered: dict[str, int] = dict.fromkeys(TOPICS, 0)

    async def publish(self, topic: str, exclude: str) -> None:
        """Publish a message; its members have it when this returns."""
        run = self.run
        readers, writer = self.topics._readers, self.topics._writer
        message = (writer.name, writer._serial + 1)
        run.knows[message] = max(self.answered[topic], readers.newest(topic))
        members = [each for each in self.sessions if each.topic == topic and each.has_joined]
        try:
            await self.topics.publish(topic, "1", exclude=exclude)
        except StoreUnavailable:
            run.unavailable += 1
            return
        entered = [e for _, e in run.store.entered if (e.writer, e.serial) == message]
        assert entered, f"{message} was answered, and not entered"
        entry = entered[-1]
        self.answered[topic] = max(self.answered[topic], entry.number)
        run.answered += 1
        if run.is_quiet:
            for member in members:
                if not member.was_reset and member.process is self and member.id != exclude:
                    got = {(e.writer, e.serial) for e in member.now.got}
                    assert message in got, f"{member.id} did not have {message} on return"
