"""`Channel`: what a handler holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from transport.errors import ChannelClosed
from transport.protocol.codec import encode_sized
from transport.protocol.frames import Json
from transport.protocol.session import WAITING

if TYPE_CHECKING:
    from transport.runner import Runner


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Counters of one channel; messages unless said otherwise.

    Attributes:
        sent: numbered by the handler.
        acknowledged: that the client has.
        buffered, buffered_bytes: kept for the client.
        received: held in order from the client.
        handled: of these, finished by the handler.
        replayed: written again after a resume or a retry.
        attaches: connections that were attached, ever.
    """

    sent: int
    acknowledged: int
    buffered: int
    buffered_bytes: int
    received: int
    handled: int
    replayed: int
    attaches: int


class Channel:
    """One client's channel, for as long as its session lives, over whatever connections.

    Handed to the handler; iterate over it to receive. All methods are for the event loop's thread.

    Attributes:
        id: public name of the session, fit for logs.
        user: what ``authenticate`` returned as `Identity.user`, or None.
        state: a namespace for the application.
        scope: the ASGI scope of the opening request, its path without the last segment.
        resumed: whether the handler was taken over from another process.
    """

    __slots__ = ("__weakref__", "_runner", "_state", "id", "resumed", "scope", "user")

    def __init__(self, runner: Runner, scope: Scope, user: Any) -> None:
        self._runner = runner
        self._state: SimpleNamespace | None = None
        self.id = runner.session.id
        self.user = user
        self.scope = scope
        self.resumed = False

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.transport or 'detached'}>"

    @property
    def runner(self) -> Runner:
        """What drives this channel; not part of the public surface."""
        return self._runner

    @property
    def state(self) -> SimpleNamespace:
        """A namespace for the application."""
        if self._state is None:
            self._state = SimpleNamespace()
        return self._state

    @property
    def transport(self) -> str | None:
        """The transport in use: ``"websocket"``, ``"sse"``, ``"longpoll"``; None while detached."""
        carrier = self._runner.session.carrier
        return None if carrier is None else carrier.value

    @property
    def connected(self) -> bool:
        """Whether a connection is attached. True is no proof: only an ack is."""
        return bool(self._runner.session.attachments)

    async def send(self, message: Json) -> int:
        """Send a message: str, bytes, or a JSON value.

        Returns as soon as it is kept; waits while the window is full (PROTOCOL.md DAT-6).

        Returns:
            Its number, for `acknowledged`.

        Raises:
            Unsendable, TooLarge: the message cannot be sent; nothing was.
            Stalled: the buffer is full and the client acknowledged nothing for ``limits.stall``.
            ChannelClosed: the session is closing or over.
        """
        runner = self._runner
        payload, size = encode_sized(message, runner.session.limits)
        if not runner.has_room(size):
            await runner.room(size)
        return runner.send(payload, size)

    async def flush(self) -> None:
        """Wait until the store holds what was sent. With the memory store it does at once."""

    async def acknowledged(self, number: int) -> None:
        """Wait until the client has received the message of that number, and all before it.

        Raises:
            ChannelClosed: the session ended first.
        """
        await self._runner.acknowledged(number)

    async def receive(self) -> Json:
        """The next message. What was received before it now counts as handled (MRK-2).

        Raises:
            ChannelClosed: there will be none.
            Busy: another task receives on this channel.
        """
        message = self._runner.take()
        if message is WAITING:
            return await self._runner.wait_for_message()
        return message

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        runner = self._runner
        try:
            message = runner.take()
            if message is WAITING:
                return await runner.wait_for_message()
        except ChannelClosed:
            raise StopAsyncIteration from None
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the channel. What was sent is still delivered; nothing more can be.

        Args:
            code: 1000, or 3000 to 4999 for the application's own meanings.
            reason: for people, at most 123 bytes in UTF-8.

        Raises:
            ValueError: the code or the reason is out of range.
        """
        if code != 1000 and not 3000 <= code <= 4999:
            raise ValueError(f"a close code is 1000 or 3000-4999, not {code}")
        if len(reason.encode()) > 123:
            raise ValueError("a close reason has at most 123 bytes")
        self._runner.close(code, reason)

    def statistics(self) -> ChannelStatistics:
        """Counters of this channel, now."""
        session = self._runner.session
        return ChannelStatistics(
            sent=session.outgoing.last,
            acknowledged=session.outgoing.acked,
            buffered=session.outgoing.last - session.outgoing.acked,
            buffered_bytes=session.outgoing.size,
            received=session.incoming.received,
            handled=session.incoming.handled,
            replayed=session.replayed,
            attaches=self._runner.attaches,
        )
