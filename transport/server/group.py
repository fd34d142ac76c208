"""`Group`: channels that receive the same messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import get_ident

from transport.limits import Limits
from transport.protocol.codec import Encoder, encode_sized
from transport.protocol.frames import Json
from transport.server.channel import Channel
from transport.server.driver import SessionDriver
from transport.server.loops import wrong_thread


class Group:
    """Channels of this process under a name that the application chose: ``hub.group("lobby")``.

    A channel leaves its groups when its session ends, not when its connection is cut. Like those of
    a channel, its methods raise RuntimeError in another thread or event loop than the hub's.

    Args:
        name: see above.
        limits: of the hub.
        check_loop: raises RuntimeError in another loop than the hub's; called with the name of the
            function that was called, and its arguments.
    """

    __slots__ = ("__weakref__", "_check_loop", "_encoder", "_limits", "_members", "name")

    def __init__(
        self,
        name: str,
        limits: Limits,
        check_loop: Callable[[str, str], object],
        encoder: Encoder | None = None,
    ) -> None:
        self.name = name
        self._limits = limits
        self._check_loop = check_loop
        self._encoder = encoder
        self._members: dict[str, Channel] = {}

    def __repr__(self) -> str:
        return f"<Group {self.name!r} of {len(self)}>"

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._members.values()))

    def __contains__(self, channel: object) -> bool:
        return isinstance(channel, Channel) and channel.id in self._members

    def add(self, channel: Channel) -> None:
        """Add a channel. Idempotent; adding a closed channel has no effect.

        Raises:
            TypeError: it is no `Channel`.
        """
        _check_channel(channel, "add")
        if get_ident() != channel._driver.thread:
            raise wrong_thread("group.add", "channel", is_async=False)
        if channel._driver.session.ending is not None:
            return
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

    def _forget(self, channel: Channel) -> None:
        """Remove a channel whose session is over. For internal use, and so not checked."""
        self._members.pop(channel.id, None)
        if channel._groups is not None:
            channel._groups.discard(self)

    async def send(self, message: Json) -> int:
        """Send one message to every channel of the group, encoded once.

        Never waits: a channel whose buffer is full is reset with ``overflow`` (DAT-6).

        Returns:
            How many channels took it.

        Raises:
            Unsendable, TooLarge: the message cannot be sent; no channel got it.
        """
        self._check_loop("group.send", "message")
        drivers = (channel._driver for channel in self)
        return send_to_all(drivers, message, self._limits, self._encoder)


def _check_channel(channel: object, method: str) -> None:
    if not isinstance(channel, Channel):
        raise TypeError(
            f"group.{method} takes a Channel, as a handler is given it, not a "
            f"{type(channel).__name__}"
        )


def send_to_all(
    drivers: Iterable[SessionDriver], message: Json, limits: Limits, encoder: Encoder | None
) -> int:
    """Encode a message once, send it to each session, and return how many took it."""
    payload, size = encode_sized(message, limits, encoder)
    return sum([driver.try_send(payload, size) for driver in drivers])
