"""`Memberships`: the sessions of this process as members of topics that a store keeps.

How far a session has come in a topic, its *cursor*, is stored in one step with the message that the
entry has become. So a process that takes the session over goes on from there, and the cursor is the
membership: the handler need not add its channel to a group again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from transport.errors import StoreUnavailable
from transport.protocol.codec import size_of
from transport.protocol.journal import Image
from transport.protocol.topic_log import Entry
from transport.protocol.topic_names import DOUBT, EVERYONE, GROUP
from transport.server.channel import Channel
from transport.server.driver import SessionDriver
from transport.server.group import Group
from transport.server.runner import Runner
from transport.server.session_log import log_missed
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.stores.names import shorten_topic
from transport.telemetry.log import ERROR, log_event

JOINED_WITHIN = 15.0
"""Seconds for which an application waits until a channel is a member: as for a publication."""


def _doubt_of(topic: str) -> str:
    """Return under which name the doubt of a member is stored, beside its cursor."""
    return shorten_topic(DOUBT + topic)


class _Membership:
    """Implements `Member` for a session in one topic."""

    __slots__ = ("_driver", "_topic", "cursor", "doubt")

    def __init__(self, driver: SessionDriver, topic: str, cursor: int, doubt: int = 0) -> None:
        self._driver = driver
        self._topic = topic
        self.cursor = cursor
        self.doubt = doubt

    @property
    def id(self) -> str:
        return self._driver.session.id

    def begin(self, cursor: int) -> None:
        self._move(cursor)

    def offer(self, entry: Entry) -> bool:
        driver = self._driver
        if driver.accepted:
            try:
                if not driver.try_send(entry.payload, size_of(entry.payload)):
                    return False
            except Exception:  # noqa: BLE001 - logged with its traceback
                log_event(
                    ERROR,
                    "delivery_failed",
                    "a message of a group could not be sent to this channel: please report the "
                    "exception below",
                    channel=self.id,
                    exc_info=True,
                )
        self._move(entry.number)
        return True

    def suspect(self, number: int) -> None:
        self.doubt = number
        self._driver.session.set_cursor(_doubt_of(self._topic), number)

    def forget(self) -> None:
        """Store nothing of the topic any more: the session has left it."""
        self._driver.session.set_cursor(self._topic, None)
        if self.doubt:
            self._driver.session.set_cursor(_doubt_of(self._topic), None)

    def skip(self, number: int) -> None:
        self.cursor = number
        self._driver.session.set_cursor(self._topic, number)

    def reset(self) -> None:
        driver = self._driver
        if driver.accepted and not driver.is_over:
            log_missed(driver.session)
            driver.session.overflow()
            driver.notify()

    def _move(self, cursor: int) -> None:
        self.skip(cursor)
        if self._driver.journal is not None:
            self._driver.journal.changed()


class Memberships:
    """Joins the sessions of this process to topics.

    Args:
        topics: of the store.
        group: returns the group of a name.
    """

    def __init__(self, topics: StoredTopics, group: Callable[[str], Group]) -> None:
        self._topics = topics
        self._group = group
        self._members: dict[str, dict[str, _Membership]] = {}
        """Of each session, by topic."""

    def begun(self, runner: Runner, image: Image) -> None:
        """Make a session a member of the topic of all, and of those that it was in before.

        Args:
            runner: of the session.
            image: the session as this process has opened or claimed it.
        """
        members = self._members[runner.session.id] = {}
        channel = runner.channel
        cursors = {EVERYONE: image.born, **image.cursors}
        doubts = {_doubt_of(topic) for topic in cursors}
        for topic, cursor in cursors.items():
            if topic in doubts:
                continue
            doubt = cursors.get(_doubt_of(topic), 0)
            members[topic] = member = _Membership(runner.driver, topic, cursor, doubt)
            if topic.startswith(GROUP):
                self._group(topic.removeprefix(GROUP))._restore(channel)
            self._topics.resume(topic, member, has_taken=topic in image.cursors)

    def ended(self, session_id: str) -> None:
        """Let a session leave all topics: it is not in this process any longer."""
        for topic, member in self._members.pop(session_id, {}).items():
            self._topics.leave(topic, member)

    def join(self, topic: str, channel: Channel) -> Coroutine[Any, Any, None] | None:
        """Make a session a member of a topic.

        Returns:
            What to run to wait until everything that is published later reaches it, also if another
            process takes it over; None if it is a member already, or is not here.
        """
        topic = shorten_topic(topic)
        members = self._members.get(channel.id)
        if members is None or topic in members:
            return None
        members[topic] = member = _Membership(channel._driver, topic, 0)
        return self._join(topic, member, channel._driver)

    async def _join(self, topic: str, member: _Membership, driver: SessionDriver) -> None:
        try:
            async with asyncio.timeout(JOINED_WITHIN):
                await self._topics.join(topic, member)
        except TimeoutError:
            raise StoreUnavailable(
                f"the store has not answered within {JOINED_WITHIN:g} s, so the channel is not a "
                "member of the group yet; it becomes one once the store answers"
            ) from None
        if driver.journal is not None:
            await driver.journal.saved()

    def leave(self, topic: str, channel: Channel) -> None:
        """Let a session leave a topic for good."""
        topic = shorten_topic(topic)
        member = self._members.get(channel.id, {}).pop(topic, None)
        if member is not None:
            self._topics.leave(topic, member)
            member.forget()
            if channel._driver.journal is not None:
                channel._driver.journal.changed()
