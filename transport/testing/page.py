"""`Page`: what a handler sees as a browser page, in the process of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from transport.errors import ChannelClosed, SessionReset
from transport.protocol.codec import Encoder
from transport.protocol.frames import Json, TransportKind, Verdict
from transport.testing.asgi import DEADLINE
from transport.testing.page_driver import PageDriver


@asynccontextmanager
async def drive(
    app: ASGIApp,
    path: str = "",
    *,
    transport: str = "websocket",
    credentials: Json = None,
    headers: Mapping[str, str] | None = None,
    encoder: Encoder | None = None,
) -> AsyncIterator[Page]:
    """Open a channel in process, as a page does, and wait until it is open.

    When the block ends the page goes away without closing the channel: its session waits until it
    expires (PROTOCOL.md CLS-6). To end the handler before that, call `Page.close` or run the hub in
    its ``lifespan()``.

    Args:
        app: the hub, or an application that mounts it.
        path: the channel's path there, with a query if needed: ``"/chat/room-7?lang=de"``.
        transport: the first to use: ``"websocket"``, ``"sse"`` or ``"longpoll"``.
        credentials: for ``authenticate``; `Page.credentials` changes them.
        headers: headers of every request, such as ``{"cookie": "..."}``.
        encoder: called for a value that JSON cannot represent; None refuses it.

    Raises:
        ChannelClosed: the channel was refused for good.
        TimeoutError: it did not open. An exception of the application is raised here too.
        ValueError: there is no such transport.
    """
    page = Page(
        app, path, transport=transport, credentials=credentials, headers=headers, encoder=encoder
    )
    try:
        await page.resume()
        yield page
    finally:
        await page.stop()


class Page:
    """One page's end of a channel. Made by `drive`.

    It keeps, resends, acknowledges and settles messages as the clients of this package do, because
    it runs the same client session. When the server ends a connection the page connects again by
    itself; after `cut` it stays away until `resume`. Every wait is bounded by ``within``, in
    seconds of the event loop's clock, and raises `TimeoutError`.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "",
        *,
        transport: str = "websocket",
        credentials: Json = None,
        headers: Mapping[str, str] | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        kind = _kind(transport)
        self._driver = PageDriver(app, path, kind, credentials, headers, encoder)

    # Its state

    @property
    def credentials(self) -> Json:
        """Shown at each attach, and when the server asks for new ones. May be set."""
        return self._driver.credentials

    @credentials.setter
    def credentials(self, credentials: Json) -> None:
        self._driver.credentials = credentials

    @property
    def id(self) -> str | None:
        """The public name of the session: `Channel.id` of the handler."""
        return self._driver.id

    @property
    def connected(self) -> bool:
        """Whether the page has an attached connection."""
        return self._driver.newest_link is not None

    @property
    def transport(self) -> str | None:
        """The transport in use, or None while the page is away.

        Set it to move the channel there: at once, over a second connection that replaces the old
        one, or with the next `resume`.

        Raises:
            ValueError: there is no such transport.
        """
        link = self._driver.newest_link
        return None if link is None else link.transport.value

    @transport.setter
    def transport(self, name: str) -> None:
        self._driver.transport = _kind(name)
        if not self._driver.is_away and self._driver.closed is None:
            self._driver.attach()

    # Messages

    async def send(self, message: Json) -> int:
        """Send a message: str, bytes, or a JSON value. Returns at once, also while it is away.

        Returns:
            Its number, for `acknowledged`.

        Raises:
            Unsendable, TooLarge: the message cannot be sent.
            ChannelClosed: the channel is closing or closed.
        """
        return self._driver.send(message)

    async def acknowledged(self, number: int, *, within: float | None = DEADLINE) -> None:
        """Wait until the handler has finished with the message of that number (MRK-3).

        Raises:
            Unacknowledged: its session ended first; `Unacknowledged.fate` says what is known.
            TooLarge: the server does not accept it.
            NotRead: the handler does not receive messages.
        """
        driver = self._driver
        await self._until(
            lambda: number <= driver.settled or number in driver.refused,
            within,
            f"message {number} was not handled",
        )
        if number in driver.refused:
            raise driver.refused[number]

    async def receive(self, *, within: float | None = DEADLINE) -> Json:
        """Return the next message of the handler.

        Raises:
            SessionReset: the session ended here and a new one began; the next call continues there.
            ChannelClosed: there will be no more messages.
        """
        driver = self._driver
        await self._until(
            lambda: bool(driver.received) or driver.closed is not None, within, "no message arrived"
        )
        if not driver.received:
            assert driver.closed is not None
            raise driver.closed
        message = driver.received.popleft()
        if isinstance(message, SessionReset):
            raise message
        return message

    def __aiter__(self) -> Page:
        return self

    async def __anext__(self) -> Json:
        try:
            return await self.receive()
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def close(
        self, code: int = 1000, reason: str = "", *, within: float | None = DEADLINE
    ) -> None:
        """Close, and wait until the handler has ended and all its messages have arrived (CLS-2)."""
        driver = self._driver
        driver.close(code, reason)
        await self._until(
            lambda: driver.closed is not None and not driver.is_posting,
            within,
            "the server did not close",
        )

    # Its connections

    def cut(self, *, noticed: bool = True) -> None:
        """Lose the connections, and what is in flight over them in either direction.

        Args:
            noticed: whether the server sees that the connections ended. With False it is as if a
                cable had been pulled.
        """
        self._driver.cut(noticed=noticed)

    async def leave(self, *, within: float | None = DEADLINE) -> None:
        """Go away for good without closing, as a page does whose tab is closed (LIV-6).

        The session ends after ``limits.away`` in place of ``limits.ttl``, unless it is resumed.
        """
        driver = self._driver
        driver.leave()
        await self._until(lambda: not driver.is_posting, within, "the server did not answer")
        driver.end_connections()

    async def resume(self, *, within: float | None = DEADLINE) -> bool:
        """Connect again after a `cut`.

        Returns:
            Whether the session continues, with nothing lost or repeated. Otherwise it is a new one,
            and `receive` raises `SessionReset` at that point.

        Raises:
            ChannelClosed: it was closed in the meantime.
        """
        driver = self._driver
        driver.resume()
        try:
            await self._until(
                lambda: driver.verdict is not None or driver.closed is not None,
                within,
                "the channel did not open",
            )
        except TimeoutError as error:
            if driver.problem is None:
                raise
            raise TimeoutError(f"{error}: {driver.problem}") from None
        if driver.verdict is None:
            assert driver.closed is not None
            raise driver.closed
        return driver.verdict is Verdict.RESUMED

    def stop_reading(self) -> None:
        """Read nothing: writes of the application wait, as they do when the network is full."""
        self._driver.stop_reading()

    def read_on(self) -> None:
        """End `stop_reading`."""
        self._driver.read_on()

    async def stop(self) -> None:
        """Go away for good. `drive` calls it."""
        await self._driver.stop()

    async def _until(
        self, condition: Callable[[], bool], within: float | None, otherwise: str
    ) -> None:
        self._driver.check()
        try:
            async with asyncio.timeout(within):
                await self._driver.until(condition)
        except TimeoutError:
            away = ", and the page is away: resume it" if self._driver.is_away else ""
            raise TimeoutError(f"{otherwise} in {within} s{away}") from None


def _kind(name: str) -> TransportKind:
    """Return the transport of this name.

    Raises:
        ValueError: no transport has this name.
    """
    try:
        return TransportKind(name)
    except ValueError:
        names = ", ".join(TransportKind)
        raise ValueError(f"transport must be one of {names}, not {name!r}") from None
