"""`ClientConnection`: one connection of a WebSocket application, over any number of connections."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload

from websockets.exceptions import ConcurrencyError, ConnectionClosed, ConnectionClosedOK
from websockets.frames import Close
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import LoggerLike, Subprotocol

from transport.client.channel import Channel
from transport.client.driver import Driver
from transport.client.ending import EXIT_TIMEOUT, close_within
from transport.client.websocket.closes import (
    close_code,
    closed_error,
    received_close,
    sendable_close,
)
from transport.client.websocket.messages import (
    BYTES_LIKE,
    Data,
    DataLike,
    Sendable,
    exceeds,
    incoming,
    join_fragments,
    outgoing,
)
from transport.client.websocket.pongs import Pongs
from transport.errors import Busy, ChannelClosed, Stalled
from transport.protocol.frames import Json
from transport.protocol.states import Phase
from transport.waiting import wait_all

CLOSE_TIMED_OUT = 1001
"""The code of a channel that was given up after ``close_timeout``."""


class ClientConnection:
    """A connection to a WebSocket application behind a hub. Made by `connect`.

    It has the methods, attributes and exceptions of
    ``websockets.asyncio.client.ClientConnection``. While the network is cut, or the transport
    changes, it stays open: what is sent is kept, and everything is delivered once, in order. It
    ends if either side closes it, or if the session is lost: with
    ``websockets.exceptions.ConnectionClosedError``, whose ``__cause__`` says why.

    All methods are for the thread of the event loop.

    Attributes:
        id: unique identifier of the connection.
        logger: as given to `connect`.
        request: stands for the opening handshake: the path, and the headers that are sent.
        response: stands for its answer: 101. The headers of the application do not arrive.
        subprotocol: what the application has chosen of the subprotocols offered; None without one.
        channel: the channel beneath, for ``transport``, ``transports``, ``explain()``,
            ``statistics()`` and ``reconnect()``. Do not send, receive or close with it.
    """

    def __init__(
        self,
        driver: Driver,
        task: asyncio.Task[None],
        pongs: Pongs,
        *,
        request: Request,
        response: Response,
        subprotocol: str | None,
        close_timeout: float | None,
        max_size: int | None,
        logger: LoggerLike,
    ) -> None:
        self.id = uuid.uuid4()
        self.logger = logger
        self.request = request
        self.response = response
        self.subprotocol = None if subprotocol is None else Subprotocol(subprotocol)
        self.channel = Channel(driver)
        self._driver = driver
        self._task = task
        self._pongs = pongs
        self._close_timeout = close_timeout
        self._max_size = max_size
        self._sending = asyncio.Lock()
        self._close_sent: Close | None = None
        self._invalid: Exception | None = None
        """What was wrong with a message received, for which this side has closed."""
        task.add_done_callback(self._ended)

    def __repr__(self) -> str:
        return f"<ClientConnection {self.id} {self.state.name}>"

    # What has become of it

    @property
    def state(self) -> State:
        """``OPEN``, also over a cut; ``CLOSING``; ``CLOSED``."""
        driver = self._driver
        if driver.lost is not None or driver.phase is Phase.CLOSED:
            return State.CLOSED
        return State.OPEN if driver.session.ending is None else State.CLOSING

    @property
    def close_code(self) -> int | None:
        """The code of the server's close; 1006 without one; None before the end."""
        return close_code(self._close_received) if self.state is State.CLOSED else None

    @property
    def close_reason(self) -> str | None:
        """The reason of the server's close; "" without one; None before the end."""
        if self.state is not State.CLOSED:
            return None
        received = self._close_received
        return "" if received is None else received.reason

    @property
    def latency(self) -> float:
        """Seconds that the server took to answer the latest `ping`; 0.0 before the first answer."""
        return self._pongs.latency

    @property
    def local_address(self) -> Any:
        """None: each transport has sockets of its own, and a cut replaces them."""
        return None

    @property
    def remote_address(self) -> Any:
        """None, as `local_address`."""
        return None

    @property
    def _close_received(self) -> Close | None:
        return received_close(self._driver.ending, self._driver.lost)

    def _closed_error(self) -> ConnectionClosed:
        error = closed_error(self._driver.ending, self._driver.lost, self._close_sent)
        if self._invalid is not None:
            error.__cause__ = self._invalid
        return error

    # Receiving

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """Return the next message.

        Cancelling it loses no message: the next call returns it.

        Args:
            decode: True returns bytes as str, False returns str as bytes.

        Raises:
            ConnectionClosed: there are no more messages.
            ConcurrencyError: another task is receiving.
        """
        if self._invalid is not None:
            await self.wait_closed()
            raise self._closed_error()
        try:
            message = await self._driver.inbox.receive()
        except Busy:
            raise ConcurrencyError(
                "cannot call recv while another coroutine is already running recv or recv_streaming"
            ) from None
        except ChannelClosed:
            pass
        else:
            return await self._take(message, decode)
        raise self._closed_error()

    async def _take(self, message: Json, decode: bool | None) -> Data:
        """Return a message as `recv` does, or close the connection for it."""
        try:
            data = incoming(message, decode)
        except UnicodeDecodeError as error:
            await self._refuse(1007, f"{error.reason} at position {error.start}", error)
        if self._max_size is not None and exceeds(data, self._max_size):
            text = f"a message exceeds max_size={self._max_size} bytes"
            await self._refuse(1009, text, ValueError(text))
        return data

    async def _refuse(self, code: int, reason: str, cause: Exception) -> NoReturn:
        self._invalid = cause
        await self.close(code, reason)
        raise self._closed_error()

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Return an iterator over the fragments of the next message: it is one, the whole message.

        Arguments and errors are those of `recv`.
        """
        yield await self.recv(decode)

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Yield messages until the connection is closed with 1000 or 1001.

        Raises:
            ConnectionClosedError: it has ended otherwise.
        """
        try:
            while True:
                yield await self.recv()
        except ConnectionClosedOK:
            return

    # Sending

    async def send(self, message: Sendable, *, text: bool | None = None) -> None:
        """Send a message: str, bytes-like, or an iterable of either, whose fragments are joined.

        Returns once the message is kept, whether the network is up or not; it waits while the send
        window is full. It is then delivered unless the session is lost. If it is cancelled, nothing
        was sent.

        Args:
            message: an iterable without fragments sends nothing.
            text: True sends bytes as text, False sends a str as bytes.

        Raises:
            ConnectionClosed: the connection is closed.
            TypeError: the message has another type, or fragments of two types.
            TooLarge: it is above the server's ``Limits(message=...)``. Nothing was sent.
            ValueError: the text is no Unicode, or the bytes for it are no UTF-8. Nothing was sent.
        """
        async with self._sending:  # one that iterates is not overtaken
            whole = await join_fragments(message)
            if whole is None:
                return
            data = outgoing(whole, text)
            while True:
                await self._check_open()
                try:
                    await self.channel.send(data)
                except Stalled:
                    continue  # as on a WebSocket: the session ends once the server is silent
                except ChannelClosed:
                    continue
                return

    async def _check_open(self) -> None:
        if self.state is not State.OPEN:
            await self.wait_closed()
            raise self._closed_error()

    # Pings

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Ask the server for a sign of life.

        Args:
            data: has no effect.

        Returns:
            A future for the latency in seconds. It is done when the server has answered, which may
            be after a cut. That says nothing of messages that were sent: they are kept until they
            have been handled. It raises ConnectionClosed if the connection ends first.

        Raises:
            ConnectionClosed: the connection is closed.
            TypeError: ``data`` is neither str nor bytes-like.
        """
        if data is not None and not isinstance(data, (str, *BYTES_LIKE)):
            raise TypeError("data must be str or bytes-like")
        await self._check_open()
        future = self._pongs.add(self._driver.session.ping())
        self._driver.wake()
        return future

    async def pong(self, data: DataLike = b"") -> None:
        """Do nothing, as the channel has its own signs of life.

        Raises:
            ConnectionClosed: the connection is closed.
            TypeError: ``data`` is neither str nor bytes-like.
        """
        if not isinstance(data, (str, *BYTES_LIKE)):
            raise TypeError("data must be str or bytes-like")
        await self._check_open()

    # The end

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection once everything that was sent is handled, and wait for the end.

        If that takes longer than ``close_timeout``, the connection is given up, and what was not
        delivered is lost. If `close` is cancelled, it goes on in the background. It does nothing
        once the connection is closed.

        Args:
            code: 1002, 1003, 1007, 1009 and 1010 are sent as 1008, with the code in the reason.
            reason: at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: of ``websockets``: the code or the reason is not one of a close frame.
        """
        close = sendable_close(code, reason)
        if self.state is State.OPEN:
            self._close_sent = close
            self._driver.close(int(close.code), close.reason)
            if self._close_timeout is not None:
                loop = asyncio.get_running_loop()
                timer = loop.call_later(self._close_timeout, self._give_up)
                self._task.add_done_callback(lambda _: timer.cancel())
        await self.wait_closed()

    def _give_up(self) -> None:
        self._driver.abandon(CLOSE_TIMED_OUT, "timed out while closing connection")

    async def wait_closed(self) -> None:
        """Wait until the connection is closed."""
        await asyncio.wait([self._task])

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._pongs.fail(self._closed_error())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection: with 1000; with 1011 if the block raises.

        If the block is cancelled, that takes at most a second.
        """
        try:
            if kind is None:
                await self.close()
            elif not issubclass(kind, asyncio.CancelledError):
                await self.close(1011)
        finally:
            if not self._task.done():
                await close_within(self._driver, self._task, EXIT_TIMEOUT)
            await wait_all([self._task])
