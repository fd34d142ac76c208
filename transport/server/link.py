"""`SessionLink`: a connection's end of a session, as the adapters see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder
from transport.protocol.frames import Data, EncodedFrame, Renew
from transport.protocol.server.attachments import Attachment
from transport.server.driver import SessionDriver
from transport.waiting import resolve

MIN_DELAY = 0.001
"""Seconds of the shortest timer. The rounding of a clock that has slipped could let one fire just
before its deadline, to be set again."""

ABORT_TIMEOUT = 5.0
"""Seconds that an ended connection may take to write its last frames before it is aborted."""


class Renewer(Protocol):
    """A session's credentials, as its links see them."""

    def count_renewal(self) -> None:
        """Count a renewal.

        Raises:
            ProtocolError: ``too_many``.
        """
        ...

    async def renew(self, credentials: Any) -> None:
        """Check fresh credentials, and accept them.

        Raises:
            ProtocolError: they are refused, or cannot be checked now.
        """
        ...


class RelayedRenewer:
    """Implements `Renewer` for a connection of another process, which alone has its request."""

    def count_renewal(self) -> None:
        """See `Renewer.count_renewal`."""
        raise relayed_renewal_error()

    async def renew(self, credentials: Any) -> None:
        """See `Renewer.renew`."""
        raise relayed_renewal_error()


def relayed_renewal_error() -> ProtocolError:
    """Return the error of fresh credentials that another process has passed on (REN-1)."""
    return ProtocolError(
        codes.BAD_FRAME, "credentials are checked by the process that has the connection"
    )


class SessionLink:
    """Implements `Link` for one connection.

    Args:
        driver: of the session.
        attachment: the connection's place in it.
        decoder: reads the client's frames.
        renewer: takes fresh credentials (REN-1).
    """

    __slots__ = (
        "_ack_timer",
        "_decoder",
        "_downlink",
        "_driver",
        "_fresh_credentials",
        "_renewal",
        "_renewer",
        "_ticket",
        "abort",
        "attachment",
        "ended_at",
        "waiter",
    )

    def __init__(
        self,
        driver: SessionDriver,
        attachment: Attachment,
        decoder: Decoder,
        renewer: Renewer,
    ) -> None:
        self._driver = driver
        self._downlink = driver.session.downlink
        self._renewer = renewer
        self._renewal: asyncio.Task[None] | None = None
        """Checks fresh credentials, one after the other."""
        self._fresh_credentials: Any = UNSET
        """The newest that wait to be checked: older ones no longer matter."""
        self._decoder = decoder
        self._ack_timer: asyncio.TimerHandle | None = None
        self._ticket = 0
        """The ticket of the newest poll."""
        self.attachment = attachment
        self.abort: Callable[[], None] | None = None
        self.ended_at: float | None = None
        self.waiter: asyncio.Future[None] | None = None
        """The future that the writer awaits while there is nothing to write."""

    @property
    def code(self) -> Code | None:
        """See `Link.code`."""
        return self.attachment.code

    @property
    def close_code(self) -> int:
        """See `Link.close_code`."""
        code = self.attachment.code
        ending = self._driver.session.ending
        if code is codes.NORMAL and ending is not None:
            return ending.code
        return code.close_code if code is not None else 1000

    # The writer

    def write(self) -> list[EncodedFrame]:
        """See `Link.write`."""
        return self._downlink.transmit(self.attachment, self._driver.now())

    def due(self) -> asyncio.Future[None] | None:
        """See `Link.due`."""
        if self._downlink.is_due(self.attachment, self._driver.now()):
            return None
        self.waiter = waiter = self._driver.loop.create_future()
        if self.attachment.ack_since is not None:
            self._arm_ack_timer()
        return waiter

    async def due_within(self, seconds: float) -> None:
        """See `DrivenLink.due_within`."""
        waiter = self.due()
        if waiter is None:
            return
        timer = self._driver.loop.call_later(seconds, resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def wake_writer(self) -> None:
        """Wake the writer; the caller knows that there is something to write."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def wake_writer_if_due(self) -> None:
        """Wake the writer if there is something to write; otherwise arm the ack timer."""
        if self.waiter is not None:
            if self._downlink.is_due(self.attachment, self._driver.now()):
                self.wake_writer()
            elif self.attachment.ack_since is not None:
                self._arm_ack_timer()

    def _arm_ack_timer(self) -> None:
        """Limit how long an ack waits for data to travel with (MRK-6)."""
        deadline = self._downlink.ack_deadline(self.attachment)
        if deadline is not None and self._ack_timer is None:
            delay = max(MIN_DELAY, deadline - self._driver.now())
            self._ack_timer = self._driver.loop.call_later(delay, self._ack_is_due)

    def _ack_is_due(self) -> None:
        self._ack_timer = None
        self.wake_writer_if_due()

    # The reader

    def receive(self, encoded: EncodedFrame) -> None:
        """See `Link.receive`."""
        attachment = self.attachment
        if attachment.code is not None:
            return
        frame = self._decoder.decode(encoded)
        driver = self._driver
        if type(frame) is Renew:
            self.record_activity(driver.now())
            self._receive_credentials(frame.credentials)
            return
        # Replies do not count against the window: bound them, in case a client keeps asking and
        # never reads.
        if attachment.control and len(attachment.control) >= driver.session.limits.batch:
            raise ProtocolError(
                codes.TOO_MANY,
                "too many unread replies: more than the server's "
                f"Limits(batch={driver.session.limits.batch}) allows",
                limit="batch",
            )
        live = len(driver.session.attachments.live)
        replies = driver.session.receive(attachment, frame, driver.now())
        if type(frame) is Data and not replies and len(driver.session.attachments.live) == live:
            driver.data_received()
            return
        if replies:
            driver.session.reply(attachment, replies)
        driver.notify()

    def record_activity(self, now: float) -> None:
        """Note that the client is there (LIV-3)."""
        self._driver.session.record_activity(self.attachment, now)

    def _receive_credentials(self, credentials: Any) -> None:
        """Check fresh credentials in a task: other frames are received meanwhile."""
        self._renewer.count_renewal()
        self._fresh_credentials = credentials
        if self._renewal is None:
            self._renewal = self._driver.loop.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            while (credentials := self._fresh_credentials) is not UNSET:
                self._fresh_credentials = UNSET
                await self._renewer.renew(credentials)
        except ProtocolError as error:
            self.fail(error)
        finally:
            self._renewal = None

    def fail(self, error: ProtocolError) -> None:
        """See `Link.fail`."""
        self._driver.session.fail(self.attachment, error)
        self.wake_writer_if_due()

    def lost(self) -> None:
        """See `Link.lost`."""
        if self._renewal is not None:
            self._renewal.cancel()
        self._driver.connection_lost(self)

    # Long poll

    def park(self) -> int:
        """See `DrivenLink.park`."""
        self._ticket += 1
        self.wake_writer()
        return self._ticket

    def is_newest_poll(self, ticket: int) -> bool:
        """See `DrivenLink.is_newest_poll`."""
        return ticket == self._ticket

    def unpark(self, ticket: int) -> None:
        """See `DrivenLink.unpark`."""
        if self.is_newest_poll(ticket):
            self._downlink.end_poll(self.attachment)

    def write_poll(self) -> list[EncodedFrame]:
        """See `Link.write_poll`."""
        return self._downlink.answer_poll(self.attachment, self._driver.now())

    # Time

    def tick(self, now: float) -> None:
        """Wake the writer if it has something to write; drop an ended connection that is stuck."""
        if self.attachment.control:
            self.wake_writer()
        if self.attachment.code is None:
            return
        self.wake_writer()
        if self.ended_at is None:
            self.ended_at = now
        if not self.attachment.writable:
            self._driver.remove_link(self)  # no poll waits, and none will be accepted
        elif now - self.ended_at >= ABORT_TIMEOUT:
            self._driver.remove_link(self)
            if self.abort is not None:
                self.abort()
