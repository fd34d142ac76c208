"""Rules of topics, broken one at a time. The random schedules must detect each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tests.properties.topics.members import Session
from transport.protocol import topic_log
from transport.protocol.topic_log import Entry, Reading, TopicLog
from transport.server.topics.stored import log_reader
from transport.server.topics.stored.copies import Copies
from transport.server.topics.stored.log_reader import Follower, LogReader
from transport.server.topics.stored.log_readers import LogReaders
from transport.server.topics.stored.losses import Losses
from transport.stores.topics.writer import TopicWriter
from transport.testing import topic_model
from transport.testing.topic_model import ModelReadWire

Patch = pytest.MonkeyPatch


def cursor_is_stored_before_its_message(patch: Patch) -> None:
    def move(self: Session, cursor: int) -> None:
        self.now.cursor = self.stored.cursor = cursor

    patch.setattr(Session, "move", move)


def cursor_is_stored_after_its_message(patch: Patch) -> None:
    step = Session.step

    def late(self: Session) -> None:
        cursor = self.stored.cursor
        step(self)
        if cursor is not None:
            self.stored.cursor = cursor

    patch.setattr(Session, "step", late)


def log_and_counter_are_read_in_two_commands(patch: Patch) -> None:
    read = ModelReadWire.read

    async def in_two(self: ModelReadWire, asked: Sequence[tuple[str, int]]) -> Any:
        first = cast("Sequence[Reading]", await read(self, asked))
        [logs] = await self.connection.execute(partial(self.store.read, asked))
        return [replace(one, last=other.last) for one, other in zip(first, logs, strict=True)]

    patch.setattr(ModelReadWire, "read", in_two)


def publication_is_not_compared_with_its_writer(patch: Patch) -> None:
    publish = topic_log.publish

    def forgetful(log: TopicLog | None, *arguments: Any) -> Any:
        return publish(log and replace(log, writers={}), *arguments)

    patch.setattr(topic_model, "publish", forgetful)


def publication_overtakes_a_refused_one(patch: Patch) -> None:
    publish = topic_log.publish

    def hasty(log: TopicLog | None, publication: Any, *arguments: Any) -> Any:
        return publish(log, replace(publication, follows=0), *arguments)

    patch.setattr(topic_model, "publish", hasty)


def writer_tells_nothing_of_what_it_knows(patch: Patch) -> None:
    publish = TopicWriter.publish

    async def ignorant(self: TopicWriter, *arguments: Any, **options: Any) -> int:
        self._known.clear()
        return await publish(self, *arguments, **(options | {"known": 0}))

    patch.setattr(TopicWriter, "publish", ignorant)


def entries_that_arrive_during_a_read_are_forgotten(patch: Patch) -> None:
    read = LogReader.read

    def forgetful(self: LogReader, reading: Reading) -> None:
        if self._reading is not None and self._reading.arrived is not None:
            self._reading.arrived.clear()
        read(self, reading)

    patch.setattr(LogReader, "read", forgetful)


def what_was_lost_is_forgotten(patch: Patch) -> None:
    nothing = property(lambda self: 0, lambda self, number: None)
    patch.setattr(Losses, "lost", nothing)


def loss_is_not_told_to_others(patch: Patch) -> None:
    patch.setattr(LogReader, "_tell_loss", lambda self: None)


def members_that_went_on_are_not_reset(patch: Patch) -> None:
    offer = LogReader._offer

    def forgiving(self: LogReader, follower: Follower, entry: Entry, missed: int) -> None:
        follower.start = follower.member.cursor
        offer(self, follower, entry, 0)

    patch.setattr(LogReader, "_offer", forgiving)


def new_subscription_is_not_followed_by_a_read(patch: Patch) -> None:
    subscribed = LogReader.subscribed

    def trusting(self: LogReader) -> None:
        self._is_checked = self._position > 0
        self.is_live = self._is_checked
        subscribed(self)

    patch.setattr(LogReader, "subscribed", trusting)


def silent_subscription_is_trusted(patch: Patch) -> None:
    patch.setattr(LogReaders, "_should_echo", lambda self: False)
    patch.setattr(LogReader, "check", lambda self: None)


def copy_is_taken_again(patch: Patch) -> None:
    judge = topic_log.judge
    patch.setattr(Copies, "has", lambda self, entry, cursor: False)
    patch.setattr(log_reader, "judge", lambda entry, cursor, doubt: judge(entry, cursor))


def publisher_does_not_wait_for_its_process(patch: Patch) -> None:
    async def at_once(self: LogReaders, topic: str, number: int) -> None:
        return

    patch.setattr(LogReaders, "reached", at_once)


QUICK: tuple[Callable[[Patch], None], ...] = (
    cursor_is_stored_before_its_message,
    cursor_is_stored_after_its_message,
    publication_is_not_compared_with_its_writer,
    publication_overtakes_a_refused_one,
)
"""Those that a tenth of the schedules detects, or more."""

MUTANTS = (
    *QUICK,
    publisher_does_not_wait_for_its_process,
    log_and_counter_are_read_in_two_commands,
    writer_tells_nothing_of_what_it_knows,
    entries_that_arrive_during_a_read_are_forgotten,
    what_was_lost_is_forgotten,
    loss_is_not_told_to_others,
    members_that_went_on_are_not_reset,
    new_subscription_is_not_followed_by_a_read,
    silent_subscription_is_trusted,
    copy_is_taken_again,
)
