"""`SessionLink`: a connection's end of a session, as the adapters see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder
from transport.protocol.frames import Data, EncodedFrame, Renew
from transport.protocol.server.attachments import Attachment
from transport.server.driver import SessionDriver
from transport.server.renewals import Renewals, Renewer
from transport.waiting import resolve

MIN_DELAY = 0.001
"""Seconds of the shortest timer. The rounding of a clock that has slipped could let one fire just
before its deadline, to be set again."""

ABORT_TIMEOUT = 5.0
"""Seconds that an ended connection may take to write its last frames before it is aborted."""


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
        "_renewals",
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
        self._renewals: Renewals | None = None
        """Made when they first come, which on most connections is never."""
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
            if self._renewals is None:
                self._renewals = Renewals(self._renewer)
            self._renewals.receive(frame.credentials, self.fail)
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

    def fail(self, error: ProtocolError) -> None:
        """See `Link.fail`."""
        self._driver.session.fail(self.attachment, error)
        self.wake_writer_if_due()

    def lost(self) -> None:
        """See `Link.lost`."""
        if self._renewals is not None:
            self._renewals.cancel()
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
