"""`Channel`: what `connect` yields."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from types import SimpleNamespace

from transport.client.connection import Attempt
from transport.client.driver import Driver
from transport.codes import check_close
from transport.errors import ChannelClosed
from transport.protocol.codec import encode_message, size_of
from transport.protocol.frames import Json
from transport.protocol.states import Phase


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """Counters of one channel, over all its sessions; messages unless said otherwise.

    Attributes:
        sent: accepted by `Channel.send`.
        acknowledged: those of them that the server has handled.
        buffered, buffered_bytes: kept until they are acknowledged.
        received: received in order from the server.
        handled: those of them that the application has finished.
        replayed: written again after a cut or a retry.
        recovered: sent before a cut, and received or to be received after it.
        attaches: connections that were attached, in total.
        resets: sessions that could not be continued.
    """

    sent: int
    acknowledged: int
    buffered: int
    buffered_bytes: int
    received: int
    handled: int
    replayed: int
    recovered: int
    attaches: int
    resets: int


class Channel:
    """One message channel to a server, over any number of connections. Made by `connect`.

    Iterate over it to receive. All methods are for the thread of the event loop.

    If the server could not continue a session, `receive`, and so the iteration, raises
    `SessionReset` once, after the last message of that session. The channel stays open: what is
    received next belongs to the new session, for which the server starts its handler again. Sends
    of the old session that were not acknowledged are not sent again: `acknowledged` reports their
    fate.
    """

    __slots__ = ("__weakref__", "_driver", "_state")

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._state: SimpleNamespace | None = None

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.transport or self.phase}>"

    @property
    def id(self) -> str:
        """The public id of the session, fit for logs. It changes with a reset."""
        return self._driver.id or ""

    @property
    def state(self) -> SimpleNamespace:
        """A namespace for the application."""
        if self._state is None:
            self._state = SimpleNamespace()
        return self._state

    @property
    def phase(self) -> str:
        """``"connecting"``, ``"open"``, ``"recovering"``, ``"suspended"`` or ``"closed"``."""
        return self._driver.phase.value

    @property
    def transport(self) -> str | None:
        """The transport in use: ``"websocket"``, ``"sse"``, ``"longpoll"``; None while detached."""
        transport = self._driver.transport
        return None if transport is None else transport.value

    @property
    def connected(self) -> bool:
        """Whether a connection is attached. That does not prove delivery: only an ack does."""
        return self._driver.phase is Phase.OPEN

    @property
    def transports(self) -> tuple[str, ...]:
        """The transports that may be used, in the order in which they are tried.

        May be set. A connection over another one is left at once; the session goes on.

        Raises:
            ValueError: no transport is given, or one that is unknown.
        """
        return tuple(transport.value for transport in self._driver.connector.transports)

    @transports.setter
    def transports(self, names: Iterable[str]) -> None:
        self._driver.set_transports(names)

    async def send(self, message: Json) -> int:
        """Send a message: str, bytes, or a JSON value.

        Returns as soon as the message is kept, connected or not; waits while the window is full
        (PROTOCOL.md DAT-6).

        Returns:
            The number of the send, for `acknowledged`, counted from 1 over all sessions.

        Raises:
            Unsendable, TooLarge: the message cannot be sent; nothing was.
            Stalled: the window is full, and the server handled nothing for its ``limits.stall``.
            ChannelClosed: the channel is closing or closed.
        """
        driver = self._driver
        payload = encode_message(message, driver.session.terms, driver.encoder)
        await driver.window.wait_for_capacity(size_of(payload))
        return driver.send(payload)

    async def acknowledged(self, number: int) -> None:
        """Wait until the server's handler has finished with the message of that number.

        Raises:
            Unacknowledged: its session ended first; the error has the fate of the message.
            TooLarge: it is above the limit of the server, which was not known when it was sent.
            NotRead: the server's handler does not receive messages.
            ValueError: no message has that number, or its outcome was forgotten: only the 1,000
                latest failures are kept.
        """
        driver = self._driver
        await driver.outcomes.wait(number, driver.session.outbox.sends)

    async def flush(self) -> None:
        """Wait until the server's handler has finished with everything that was sent.

        Raises:
            Unacknowledged, TooLarge, NotRead: as `acknowledged` for the last message.
        """
        if last := self._driver.session.outbox.sends:
            await self.acknowledged(last)

    async def receive(self) -> Json:
        """Return the next message.

        Raises:
            SessionReset: the session ended here; the channel goes on with a new one.
            ChannelClosed: there are no more messages.
            Busy: another task is receiving on this channel.
        """
        return await self._driver.inbox.receive()

    def __aiter__(self) -> AsyncIterator[Json]:
        return self

    async def __anext__(self) -> Json:
        """As `receive`; ends if an application closed the channel and everything has arrived."""
        try:
            return await self.receive()
        except ChannelClosed:
            ending = self._driver.ending
            if ending is not None and ending.clean and ending.by == "app":
                raise StopAsyncIteration from None
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the channel once everything that was sent is handled, and wait until it is closed.

        If the server cannot be reached, give up after its ``limits.closing``.

        Args:
            code: 1000, 1001, 1008, 1011 to 1014 as for a WebSocket, or 3000 to 4999 for the
                application's own meanings.
            reason: a text for people, at most 123 bytes in UTF-8.

        Raises:
            ValueError: the code or the reason is out of range.
        """
        check_close(code, reason)
        driver = self._driver
        driver.close(code, reason)
        await driver.wait_closed()

    def reconnect(self) -> None:
        """Drop the connection, and resume over a new one at once; no effect while suspended."""
        self._driver.reconnect()

    def suspend(self) -> None:
        """Drop the connection, and do not connect again before `resume`."""
        self._driver.suspend()

    def resume(self) -> None:
        """Connect again, after `suspend`."""
        self._driver.resume()

    def statistics(self) -> ClientStatistics:
        """Return the counters of this channel."""
        driver = self._driver
        session, inbox, counters = driver.session, driver.inbox, driver.counters
        return ClientStatistics(
            sent=session.outbox.sends,
            acknowledged=driver.outcomes.handled,
            buffered=session.outbox.buffer.last - session.outbox.buffer.acked,
            buffered_bytes=session.outbox.buffer.size,
            received=inbox.received,
            handled=inbox.handled,
            replayed=session.outbox.replayed,
            recovered=counters.recovered,
            attaches=counters.attaches,
            resets=counters.resets,
        )

    def explain(self) -> list[Attempt]:
        """Return the latest attempts to connect, oldest first: why this transport is in use."""
        return [connection.attempt for connection in self._driver.connector.attempts]
