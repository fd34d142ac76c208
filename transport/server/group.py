"""`Group`: channels that receive the same messages."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from threading import get_ident
from typing import Any, Protocol

from transport.protocol.frames import Json
from transport.protocol.topic_names import GROUP
from transport.server.channel import Channel
from transport.server.loops import wrong_thread


class Joined:
    """What `Group.add` returns: await it to know that every later message comes.

    With `RedisStore` that takes a moment; elsewhere it holds as soon as the channel is added.

    Args:
        joining: ends when it holds; None if it holds now.
    """

    __slots__ = ("_joining",)

    def __init__(self, joining: asyncio.Future[None] | None = None) -> None:
        self._joining = joining

    def __await__(self) -> Generator[Any, None, None]:
        if self._joining is not None:
            yield from asyncio.shield(self._joining).__await__()


JOINED = Joined()
"""For a channel that is a member."""


class Topics(Protocol):
    """What passes the messages of groups on, over all processes of a hub."""

    async def publish(self, call: str, topic: str, message: Json) -> None:
        """Send to the members of a topic.

        Args:
            call: what the application has called, for an error.
            topic: the topic.
            message: the message.
        """
        ...

    def join(self, topic: str, channel: Channel) -> Joined:
        """Make a channel of this process a member of a topic."""
        ...

    def leave(self, topic: str, channel: Channel) -> None:
        """Let a channel leave a topic, if it is a member."""
        ...


class Group:
    """Channels under a name that the application chose: ``hub.group("lobby")``.

    With `Workers` or `RedisStore` the channels of a group may be in several processes: `send`
    reaches all of them, and the members that a group counts and iterates over are those of this
    process. A channel leaves its groups when its session ends, not when its connection is cut.
    Like those of a channel, the methods raise RuntimeError in another thread or event loop than the
    hub's.

    Args:
        name: see above.
        topics: passes its messages on.
    """

    __slots__ = ("__weakref__", "_members", "_topic", "_topics", "name")

    def __init__(self, name: str, topics: Topics) -> None:
        self.name = name
        self._topic = GROUP + name
        self._topics = topics
        self._members: dict[str, Channel] = {}

    def __repr__(self) -> str:
        return f"<Group {self.name!r} of {len(self)}>"

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._members.values()))

    def __contains__(self, channel: object) -> bool:
        return isinstance(channel, Channel) and channel.id in self._members

    def add(self, channel: Channel) -> Joined:
        """Add a channel, at once. Idempotent; adding a closed channel has no effect.

        Returns:
            An awaitable. Once awaited, every message that is sent later reaches the channel,
            whichever process sends it. It raises `StoreUnavailable` if Redis has not answered
            within 15 s; the channel becomes a member once Redis does.

        Raises:
            TypeError: it is no `Channel`.
        """
        _check_channel(channel, "add")
        if get_ident() != channel._driver.thread:
            raise wrong_thread("group.add", "channel", is_async=False)
        if channel._driver.session.ending is not None:
            return JOINED
        self._restore(channel)
        return self._topics.join(self._topic, channel)

    def _restore(self, channel: Channel) -> None:
        """Add a channel that is a member of the topic already. For internal use."""
        self._members[channel.id] = channel
        if channel._groups is None:
            channel._groups = set()
        channel._groups.add(self)

    def discard(self, channel: Channel) -> None:
        """Remove a channel, if it is in the group.

        Raises:
            TypeError: it is no `Channel`.
        """
        _check_channel(channel, "discard")
        if get_ident() != channel._driver.thread:
            raise wrong_thread("group.discard", "channel", is_async=False)
        self._forget(channel)
        self._topics.leave(self._topic, channel)

    def _forget(self, channel: Channel) -> None:
        """Remove a channel whose session is over. For internal use, and so not checked."""
        self._members.pop(channel.id, None)
        if channel._groups is not None:
            channel._groups.discard(self)

    async def send(self, message: Json) -> None:
        """Send one message to every channel of the group, encoded once.

        Returns once the message is in the buffers of all of them. With `Workers` that is when every
        worker has taken it; one that takes nothing for 3 seconds is not waited for. With
        `RedisStore` it is when Redis has the message, and the channels of this process. Never waits
        for a client: a channel whose buffer is full is reset with ``overflow`` (DAT-6). If the call
        is cancelled, the message is sent nevertheless.

        Raises:
            Unsendable, TooLarge: the message cannot be sent; no channel got it.
            RuntimeError: called in another thread or event loop than the hub's. With `Workers` also
                if the hub cannot find its other processes, or has stopped in this one; some
                channels may have got the message then.
            StoreUnavailable: Redis does not answer, or refuses; the channels may get the message.
        """
        await self._topics.publish("group.send", self._topic, message)


def _check_channel(channel: object, method: str) -> None:
    if not isinstance(channel, Channel):
        raise TypeError(
            f"group.{method} takes a Channel, as a handler is given it, not a "
            f"{type(channel).__name__}"
        )
