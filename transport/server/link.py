"""`SessionLink`: a connection's end of a session, as the adapters see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from transport import codes
from transport.codes import Code, sendable_close_code
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder
from transport.protocol.frames import Data, EncodedFrame, Renew
from transport.protocol.server.attachments import Attachment
from transport.server.driver import SessionDriver, resolve

STUCK = 5.0
"""How long an ended connection may take to write its last frames before it is aborted."""


class SessionLink:
    """A connection's end of a session: the `Link` of the adapters."""

    __slots__ = (
        "_decoder",
        "_driver",
        "_renew",
        "_ticket",
        "_timer",
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
        renew: Callable[[Any], Awaitable[None]],
    ) -> None:
        self._driver = driver
        self._renew = renew
        self._decoder = decoder
        self._timer: asyncio.TimerHandle | None = None
        self._ticket = 0
        self.attachment = attachment
        self.abort: Callable[[], None] | None = None
        self.ended_at: float | None = None
        self.waiter: asyncio.Future[None] | None = None
        """Of who writes, while there is nothing to write."""

    @property
    def code(self) -> Code | None:
        """Why the session ended this connection, None while it has not."""
        return self.attachment.code

    @property
    def close_code(self) -> int:
        """What to close a WebSocket with: the session's own code where it was closed (CLS-7)."""
        code = self.attachment.code
        ending = self._driver.session.ending
        if code is codes.NORMAL and ending is not None:
            return sendable_close_code(ending.code)
        return code.websocket if code is not None and code.websocket is not None else 1000

    def write(self) -> list[EncodedFrame]:
        """All frames that are to be written now."""
        return self._driver.session.transmit(self.attachment, self._driver.now())

    def due(self) -> asyncio.Future[None] | None:
        """See `Link.due`."""
        if self._driver.session.is_due(self.attachment, self._driver.now()):
            return None
        self.waiter = waiter = self._driver.loop.create_future()
        if self.attachment.ack_since is not None:
            self._arm()
        return waiter

    async def due_within(self, seconds: float) -> None:
        """Wait until there is something to write, at most for so long."""
        waiter = self.due()
        if waiter is None:
            return
        timer = self._driver.loop.call_later(seconds, resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def rouse(self) -> None:
        """Let the waiter go on, where it is known that something is due."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def wake(self) -> None:
        """Let the waiter look again, if something is due; else see to it that it is in time."""
        if self.waiter is not None:
            if self._driver.session.is_due(self.attachment, self._driver.now()):
                self.rouse()
            elif self.attachment.ack_since is not None:
                self._arm()

    def _arm(self) -> None:
        """A lone ack waits for data to ride with, but not for ever (MRK-6)."""
        deadline = self._driver.session.ack_deadline(self.attachment)
        if deadline is not None and self._timer is None:
            delay = max(0.0, deadline - self._driver.now())
            self._timer = self._driver.loop.call_later(delay, self._ack_is_due)

    def _ack_is_due(self) -> None:
        self._timer = None
        self.wake()

    def receive(self, wire: EncodedFrame) -> Awaitable[None] | None:
        """Take a frame of the client; see `Link.receive`."""
        attachment = self.attachment
        if attachment.code is not None:
            return None
        frame = self._decoder.decode(wire)
        if type(frame) is Renew:
            return self._renew(frame.credentials)
        driver = self._driver
        # Answers are not in the window: this bounds them for a peer that asks and reads nothing.
        if attachment.control and len(attachment.control) >= driver.session.limits.batch:
            raise ProtocolError(
                codes.TOO_MANY,
                "you ask faster than you read the answers, beyond "
                f"Limits(batch={driver.session.limits.batch}) of the server",
                limit="batch",
            )
        standing = len(driver.session.attachments.live)  # what ends is no longer among them
        replies = driver.session.receive(attachment, frame, driver.now())
        if type(frame) is Data and len(driver.session.attachments.live) == standing:
            driver.arrived()
            return None
        if replies:
            driver.session.reply(attachment, replies)
        driver.poke()
        return None

    def fail(self, error: ProtocolError) -> None:
        """End the connection for the client's fault, the session lives."""
        self._driver.session.fail(self.attachment, error)
        self.wake()

    def lost(self) -> None:
        """The connection is gone."""
        self._driver.lost(self)

    def park(self) -> int:
        """Begin to wait for a poll's answer; who waited before is woken."""
        self._ticket += 1
        self.rouse()
        return self._ticket

    def parked(self, ticket: int) -> bool:
        """Whether no newer poll has come since."""
        return ticket == self._ticket

    def unpark(self, ticket: int) -> None:
        """The poll is over, answered or not."""
        if self.parked(ticket):
            self._driver.session.end_poll(self.attachment)

    def write_poll(self) -> list[EncodedFrame]:
        """The frames of the answer, at least one."""
        return self._driver.session.answer_poll(self.attachment, self._driver.now())

    def tick(self, now: float) -> None:
        """Write what became due with the time; drop what has ended and cannot be written to."""
        if self.attachment.control:
            self.rouse()
        if self.attachment.code is None:
            return
        self.rouse()
        self.ended_at = self.ended_at or now
        if not self.attachment.writable:
            self._driver.forget(self)  # no poll waits, and none is let in any more
        elif now - self.ended_at >= STUCK:
            self._driver.forget(self)
            if self.abort is not None:
                self.abort()
