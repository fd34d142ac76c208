"""`Group`: channels that receive the same messages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterator
from threading import get_ident
from typing import Any

from transport.protocol.frames import Json
from transport.server.channel import Channel
from transport.server.loops import wrong_thread

GROUP_TOPIC = "g/"
"""What the topic of a group begins with; its name follows."""

Publish = Callable[[str, str, Json], Coroutine[Any, Any, None]]
"""Sends to the members of a topic in all processes; given what an application has called, the
topic and the message."""


class Joined:
    """What `Group.add` returns: await it to know that every later message comes.

    With the stores that there are, that holds as soon as the channel is added.
    """

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_JOINED = Joined()


class Group:
    """Channels under a name that the application chose: ``hub.group("lobby")``.

    With `Workers` the channels of a group may be in several processes: `send` reaches all of them,
    and the members that a group counts and iterates over are those of this process. A channel
    leaves its groups when its session ends, not when its connection is cut. Like those of a
    channel, the methods raise RuntimeError in another thread or event loop than the hub's.

    Args:
        name: see above.
        publish: sends to the members.
    """

    __slots__ = ("__weakref__", "_members", "_publish", "_topic", "name")

    def __init__(self, name: str, publish: Publish) -> None:
        self.name = name
        self._topic = GROUP_TOPIC + name
        self._publish = publish
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
            whichever process sends it.

        Raises:
            TypeError: it is no `Channel`.
        """
        _check_channel(channel, "add")
        if get_ident() != channel._driver.thread:
            raise wrong_thread("group.add", "channel", is_async=False)
        if channel._driver.session.ending is None:
            self._members[channel.id] = channel
            if channel._groups is None:
                channel._groups = set()
            channel._groups.add(self)
        return _JOINED

    def discard(self, channel: Channel) -> None:
        """Remove a channel, if it is in the group.

        Raises:
            TypeError: it is no `Channel`.
        """
        _check_channel(channel, "discard")
        if get_ident() != channel._driver.thread:
            raise wrong_thread("group.discard", "channel", is_async=False)
        self._forget(channel)

    def _forget(self, channel: Channel) -> None:
        """Remove a channel whose session is over. For internal use, and so not checked."""
        self._members.pop(channel.id, None)
        if channel._groups is not None:
            channel._groups.discard(self)

    async def send(self, message: Json) -> None:
        """Send one message to every channel of the group, encoded once.

        Returns once the message is in the buffers of all of them. With `Workers` that is when every
        worker has taken it; one that takes nothing for 3 seconds is not waited for. Never waits for
        a client: a channel whose buffer is full is reset with ``overflow`` (DAT-6). If the call is
        cancelled, the message is sent nevertheless.

        Raises:
            Unsendable, TooLarge: the message cannot be sent; no channel got it.
            RuntimeError: called in another thread or event loop than the hub's. With `Workers` also
                if the hub cannot find its other processes, or has stopped in this one; some
                channels may have got the message then.
        """
        await self._publish("group.send", self._topic, message)


def _check_channel(channel: object, method: str) -> None:
    if not isinstance(channel, Channel):
        raise TypeError(
            f"group.{method} takes a Channel, as a handler is given it, not a "
            f"{type(channel).__name__}"
        )
