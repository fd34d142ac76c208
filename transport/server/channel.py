"""`Channel`: what a handler is given for each session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from threading import get_ident
from types import SimpleNamespace
from typing import Any, Protocol

from starlette.types import Scope

from transport.codes import check_close
from transport.errors import ChannelClosed
from transport.protocol.codec import encode_sized
from transport.protocol.frames import Json
from transport.protocol.server.counters import counters_of
from transport.protocol.server.inbox import EMPTY
from transport.server.driver import SessionDriver
from transport.server.loops import wrong_thread


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Counters of one channel, in messages unless stated otherwise.

    Attributes:
        sent: numbered by the handler.
        acknowledged: received by the client, according to its acks.
        buffered, buffered_bytes: kept for the client.
        received: received in order from the client.
        handled: those of them that the handler has finished with.
        replayed: written again after a resume or a retry.
        attaches: connections that were ever attached.
    """

    sent: int
    acknowledged: int
    buffered: int
    buffered_bytes: int
    received: int
    handled: int
    replayed: int
    attaches: int


class Membership(Protocol):
    """A group, as a channel sees it."""

    def _forget(self, channel: Channel) -> None:
        """Remove the channel: its session is over."""
        ...


class Channel:
    """One client's channel: it lives as long as its session, over any number of connections.

    A handler is given one, and iterates over it to receive. All methods must be called in the
    event loop's thread; in another they raise RuntimeError, which says what to write.

    Attributes:
        id: the public name of the session; safe to log.
        user: what ``authenticate`` returned as `Identity.user`, or None.
        state: a namespace for the application.
        resumed: whether the session was taken over from another process.
    """

    __slots__ = (
        "__weakref__",
        "_driver",
        "_groups",
        "_opening",
        "_scope",
        "_state",
        "id",
        "resumed",
        "user",
    )

    def __init__(self, driver: SessionDriver, scope: Scope, user: Any) -> None:
        self._driver = driver
        self._groups: set[Membership] | None = None
        self._state: SimpleNamespace | None = None
        self.id = driver.session.id
        self.user = user
        self.resumed = False
        self._opening = scope
        self._scope: Scope | None = None

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.transport or 'detached'}>"

    @property
    def state(self) -> SimpleNamespace:
        """A namespace for the application."""
        if self._state is None:
            self._state = SimpleNamespace()
        return self._state

    @property
    def scope(self) -> Scope:
        """The ASGI scope of the opening request, its path without the transport's segment."""
        if self._scope is None:  # copied only when asked for: most handlers never look at it
            self._scope = _without_last_segment(self._opening)
        return self._scope

    @property
    def partial(self) -> int:
        """How many messages were already sent for the one that the handler is at: begin with the
        next.

        Above 0 only after another process has died at that message: what it sent by `send` while it
        had the message in hand, and what was stored of that. It is so for a handler that takes
        longer than ``limits.step`` for a message, or calls `flush` in it. Before the first
        `receive` it is about the message that is received first.
        """
        return self._driver.session.partial

    @property
    def transport(self) -> str | None:
        """The transport in use: ``"websocket"``, ``"sse"``, ``"longpoll"``; None while detached."""
        transport = self._driver.session.attachments.transport
        return None if transport is None else transport.value

    @property
    def connected(self) -> bool:
        """Whether a connection is attached. It may be dead: only an ack proves that it works.

        False as soon as a page says that it leaves for good (LIV-6).
        """
        return self._driver.is_connected

    async def wait_connected(self) -> None:
        """Wait until the client is `connected`.

        Raises:
            ChannelClosed: either side has closed the channel, or it is over, or is handed over to
                another process (see `wait_closed`): the handler should end.
        """
        driver = self._driver
        await driver.presence.connected()
        if driver.session.peer_close is not None:
            raise driver.session.closed_error()
        driver.check_open()

    async def wait_disconnected(self) -> None:
        """Wait until the client is not `connected`, or the handler should end (see `wait_closed`).

        The session may still be resumed: `wait_connected` tells, and raises if not.
        What the page sends meanwhile is refused if nobody receives, as in `wait_closed`.
        A connection that is cut without notice is found by its silence, within three heartbeats.
        """
        await self._driver.presence.disconnected()

    async def wait_closed(self) -> None:
        """Wait until the handler should end, as a handler does that only sends.

        Returns once the client has closed the channel, or this side has, or the session has ended,
        or its server hands it over to another (a drain). Then let the handler return. After a close
        of the client what it sent before can still be received, and what is sent still arrives.

        While the task that received last (at first the handler's) is in here or has ended, nobody
        takes what the page sends. After a second, or a minute if the task has ended, such messages
        are refused: the page's send fails with ``not_read`` in place of waiting. They are taken
        again when a task receives.
        """
        await self._driver.presence.closed()

    async def send(self, message: Json) -> int:
        """Send a message: str, bytes, or a JSON value.

        Returns as soon as the message is in the buffer; waits while the window is full (DAT-6).

        Returns:
            Its number, for `acknowledged`.

        Raises:
            Unsendable, TooLarge: the message cannot be sent, and was not.
            Stalled: the buffer is full and the client acknowledged nothing for ``limits.stall``.
            ChannelClosed: the session is closing or over.
        """
        driver = self._driver
        if get_ident() != driver.thread:
            raise wrong_thread("channel.send", "message")
        payload, size = encode_sized(message, driver.session.limits, driver.encoder)
        # `SendWindow.has_capacity`, inlined for speed: this runs for every message.
        if driver.window.senders or not driver.session.outgoing.has_room(size):
            with driver.presence.awaiting_ack():
                await driver.window.wait(size, driver.check_open)
        return driver.send(payload, size)

    async def flush(self) -> None:
        """Wait until everything sent is stored. Returns immediately with `MemoryStore`.

        Raises:
            ChannelClosed: the session has ended, or another process has it.
        """
        if self._driver.journal is not None:
            await self._driver.journal.flush()

    async def acknowledged(self, number: int) -> None:
        """Wait until the client has received the message of that number, and all before it.

        Raises:
            ChannelClosed: the session ended first.
        """
        if get_ident() != self._driver.thread:
            raise wrong_thread("channel.acknowledged", "number")
        await self._driver.presence.acknowledged(number)

    async def receive(self) -> Json:
        """Wait for the next message. Those received before it now count as handled (MRK-2).

        Raises:
            ChannelClosed: there are no more messages.
            Busy: another task receives on this channel.
        """
        if get_ident() != self._driver.thread:
            raise wrong_thread("channel.receive")
        message = self._driver.receive_nowait()
        if message is EMPTY:
            return await self._driver.wait_for_message()
        return message

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        driver = self._driver
        if get_ident() != driver.thread:
            raise wrong_thread("channel.receive")
        try:
            message = driver.receive_nowait()
            if message is EMPTY:
                return await driver.wait_for_message()
        except ChannelClosed:
            raise StopAsyncIteration from None
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the channel. What was sent is still delivered; nothing more can be sent.

        Args:
            code: 1000, 1001, 1008, 1011 to 1014 as for a WebSocket, or 3000 to 4999 for the
                application's own meanings.
            reason: for people, at most 123 bytes in UTF-8.

        Raises:
            ValueError: the code or the reason is out of range.
        """
        check_close(code, reason)
        if get_ident() != self._driver.thread:
            raise wrong_thread("channel.close")
        self._driver.close(code, reason)

    def _leave_groups(self) -> None:
        """Leave every group: the session is over."""
        for group in list(self._groups or ()):
            group._forget(self)

    def statistics(self) -> ChannelStatistics:
        """Return the counters of this channel, as they are now."""
        counters = counters_of(self._driver.session)
        return ChannelStatistics(
            sent=counters.sent,
            acknowledged=counters.acknowledged,
            buffered=counters.sent - counters.acknowledged,
            buffered_bytes=counters.buffered_bytes,
            received=counters.received,
            handled=counters.handled,
            replayed=counters.replayed,
            attaches=self._driver.attaches,
        )


def _without_last_segment(scope: Scope) -> Scope:
    shown = {**scope, "path": scope["path"].rstrip("/").rpartition("/")[0] or "/"}
    if scope.get("raw_path"):
        shown["raw_path"] = scope["raw_path"].rstrip(b"/").rpartition(b"/")[0] or b"/"
    return shown
