"""`StoredTopics`: publishes and reads the topics of a store, for one process with sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from transport.errors import StoreUnavailable
from transport.protocol.codec import Payload
from transport.protocol.topic_log import MARK
from transport.server.topics.stored.log_reader import Member
from transport.server.topics.stored.log_readers import LogReaders
from transport.stores.topics.running import keep_running
from transport.stores.topics.wire import TopicStore
from transport.stores.topics.writer import TopicWriter


class StoredTopics:
    """The topics of a hub in a process that serves sessions.

    Args:
        store: makes the connections.
    """

    def __init__(self, store: TopicStore) -> None:
        self._writer = TopicWriter(store.publish_wire())
        self._readers = LogReaders(store, self._tell)
        self._telling: dict[str, asyncio.Task[None]] = {}
        """The marks that are on their way, by their topics."""

    async def run(self) -> None:
        """Publish and read, until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_running(self._writer.run))
            tasks.create_task(keep_running(self._readers.run))

    async def publish(
        self, topic: str, payload: Payload, *, exclude: str = "", dismisses: str | None = None
    ) -> None:
        """Send a message to the members of a topic in all processes.

        Returns when the store has it and the members in this process have it in their buffers; if
        the subscription does not work just then, after some seconds. If the caller is cancelled
        before, it is sent nevertheless.

        Args:
            topic: the name of the topic.
            payload: the message.
            exclude: the id of a member that does not get it.
            dismisses: a subject of which the store notes the time of dismissal.

        Raises:
            StoreUnavailable: see `TopicWriter.publish`.
        """
        number = await self._writer.publish(
            topic,
            payload,
            exclude=exclude,
            known=self._readers.newest(topic),
            dismisses=dismisses,
        )
        await self._readers.reached(topic, number)

    def _tell(self, topic: str, number: int) -> None:
        """Let the members in other processes learn that the store has lost an entry."""
        if topic not in self._telling:
            telling = asyncio.get_running_loop().create_task(self._publish_mark(topic, number))
            self._telling[topic] = telling
            telling.add_done_callback(lambda _: self._telling.pop(topic))

    async def _publish_mark(self, topic: str, number: int) -> None:
        with suppress(StoreUnavailable):  # the next read of the topic has it told again
            await self._writer.publish(topic, MARK, known=number)

    async def join(self, topic: str, member: Member) -> None:
        """Add a member that gets everything that is published after this returns.

        Its cursor is set before that. If the caller is cancelled, it is a member nevertheless.
        """
        await self._readers.join(topic, member)

    def resume(self, topic: str, member: Member, *, has_taken: bool) -> None:
        """Add a member that gets everything above its cursor.

        Args:
            topic: the name of the topic.
            member: it is reset if the store does not have all of that any longer.
            has_taken: False if its cursor is the time since when it is a member, as the birth of a
                session, and not the number of an entry that it took.
        """
        self._readers.resume(topic, member, has_taken=has_taken)

    def leave(self, topic: str, member: Member) -> None:
        """Remove a member, if it is one."""
        self._readers.leave(topic, member)

    async def dismissals(self, subjects: Sequence[str]) -> list[int]:
        """Return when each of the subjects was dismissed last; see `LogReaders.dismissals`."""
        return await self._readers.dismissals(subjects)
