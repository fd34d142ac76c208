"""`SessionDriver`: the asyncio side of one `ServerSession`: its links, and who waits for what.

After each input it asks the session what has become due (`poke`) and wakes whoever is concerned.
There is no queue, lock, scope or task per message: writers have a cursor into the session's buffer,
and every wait is one future.

It knows no handler, registry, channel or connection: these hold it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transport.errors import Busy, ChannelClosed, Stalled
from transport.protocol.codec import Payload
from transport.protocol.frames import Json, ResetReason
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import EMPTY, ServerSession
from transport.protocol.states import State
from transport.server.adapters.ports import Link
from transport.server.clock import Clock
from transport.telemetry.log import DEBUG, INFO, WARNING, event

OVER = (State.CLOSING, State.CLOSED)


class DrivenLink(Link, Protocol):
    """A connection's link, as the driver sees it: it can be woken."""

    attachment: Attachment
    waiter: asyncio.Future[None] | None

    def rouse(self) -> None:
        """Something is due: write."""
        ...

    def wake(self) -> None:
        """Something may be due: look."""
        ...

    def tick(self, now: float) -> None:
        """The sweep comes by."""
        ...


@dataclass(slots=True, eq=False)
class _Sender:
    """A ``send()`` that waits for room."""

    size: int
    waiter: asyncio.Future[None]
    stalled: bool = False


class SessionDriver:
    """Drives one session.

    Args:
        session: the session.
        clock: the process's.

    Attributes:
        links: the connections that stand.
        attaches: connections that were attached, ever.
        draining: the session is handed over, not closed: whoever waits is told so.
        on_end: called once, when the session has ended.
    """

    on_end: Callable[[], None]

    __slots__ = (
        "_ackers",
        "_answers",
        "_message",
        "_senders",
        "_stall",
        "attaches",
        "draining",
        "ended",
        "links",
        "loop",
        "now",
        "on_end",
        "session",
    )

    def __init__(self, session: ServerSession, clock: Clock) -> None:
        self.session = session
        self.now = clock.now
        self.loop = clock.loop
        self.links: list[DrivenLink] = []
        self.attaches = 0
        self.draining = False
        self.ended = False
        self._message: asyncio.Future[None] | None = None
        self._senders: list[_Sender] = []
        self._ackers: list[tuple[int, asyncio.Future[None]]] = []
        self._answers: list[asyncio.Future[None]] = []
        self._stall: tuple[int, float] | None = None

    # What a channel asks

    def send(self, payload: Payload, size: int) -> int:
        """Number a message of ``size`` bytes, and wake the writers."""
        number = self.session.send(payload, size)
        for link in self.links:
            if link.waiter is not None:
                link.rouse()
        return number

    def offer(self, payload: Payload, size: int) -> bool:
        """Send without waiting: a buffer that is full ends the session (DAT-6, ``overflow``)."""
        session = self.session
        if session.state in OVER:
            return False
        if not session.outgoing.has_room(size):
            self.overflow()
            return False
        self.send(payload, size)
        return True

    def has_room(self, size: int) -> bool:
        """Whether a message of that size fits the window, and nobody waits in front of it."""
        return not self._senders and self.session.outgoing.has_room(size)

    async def room(self, size: int) -> None:
        """Wait until `has_room`; first come, first served."""
        session = self.session
        entry = _Sender(size, self.loop.create_future())
        self._senders.append(entry)
        try:
            while self._senders[0] is not entry or not session.outgoing.has_room(size):
                if session.state in OVER:
                    raise session.closed_error()
                if self.draining:
                    raise _handed_over()
                if entry.stalled:
                    raise Stalled(
                        f"the client acknowledged nothing for {session.limits.stall} s, though it "
                        "is connected. This message was not sent, those before it are kept: send "
                        "it again later, or close the channel; Limits(stall=...) is the patience"
                    )
                await entry.waiter
                entry.waiter = self.loop.create_future()
        finally:
            self._senders.remove(entry)
            if self._senders:
                resolve(self._senders[0].waiter)

    async def acknowledged(self, number: int) -> None:
        """Wait for the client's ack."""
        if number > self.session.outgoing.last:
            raise ValueError(f"no message has the number {number} yet")
        while self.session.outgoing.acked < number:
            if self.session.ending is not None:
                raise self.session.closed_error()
            if self.draining:
                raise _handed_over()
            entry = (number, self.loop.create_future())
            self._ackers.append(entry)
            try:
                await entry[1]
            finally:
                self._ackers.remove(entry)

    def take(self) -> Json:
        """The next message, or `EMPTY`."""
        if self._message is not None:
            raise Busy("another task is in receive() on this channel")
        if self.draining:
            raise _handed_over()
        session = self.session
        incoming = session.incoming
        handled = incoming.handled
        try:
            return session.receive_nowait()
        finally:
            if incoming.handled != handled:
                self._handled()

    async def wait_for_message(self) -> Json:
        """The next message, once there is one."""
        while True:
            self._message = self.loop.create_future()
            try:
                await self._message
            finally:
                self._message = None
            message = self.take()
            if message is not EMPTY:
                return message

    def close(self, code: int, reason: str) -> None:
        """The application closes."""
        if self.session.state in (State.OPEN, State.PEER_CLOSED):
            self.session.close(code, reason, "app", self.now())
            self.poke()

    # What a request asks

    async def handled_within(self, seconds: float) -> None:
        """Wait until all that was received is handled, at most so long (SND-2)."""
        incoming = self.session.incoming
        if incoming.handled >= incoming.received or self.session.ending is not None:
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._answers.append(waiter)
        timer = loop.call_later(seconds, resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if waiter in self._answers:
                self._answers.remove(waiter)

    def _handled(self) -> None:
        for link in self.links:
            if link.waiter is not None:
                link.wake()
        incoming = self.session.incoming
        if self._answers and incoming.handled >= incoming.received:
            for waiter in self._answers:
                resolve(waiter)

    # Links

    def attach(self, link: DrivenLink) -> None:
        """A connection was attached."""
        self.links.append(link)
        self.attaches += 1
        self.poke()

    def lost(self, link: DrivenLink) -> None:
        """A connection is gone."""
        self.session.attachments.detach(link.attachment)
        if link in self.links:
            code = link.attachment.code
            event(
                DEBUG,
                "detached",
                channel=self.session.id,
                transport=link.attachment.transport.value,
                code=code.name if code is not None else None,
            )
        self.forget(link)
        link.wake()
        self.poke()

    def forget(self, link: DrivenLink) -> None:
        """Look at it no more."""
        if link in self.links:
            self.links.remove(link)

    def find_link(self, attachment: Attachment) -> DrivenLink | None:
        """The link of an attachment."""
        return next((link for link in self.links if link.attachment is attachment), None)

    def poke(self) -> None:
        """Something came in: wake whom it concerns."""
        for link in self.links:
            link.wake()
        self.arrived()
        if self.session.ending is not None and not self.ended:
            self._end()

    def arrived(self) -> None:
        """Data came in, which makes no connection due: wake the handler and who waits for acks."""
        message = self._message
        if message is not None and not message.done() and self.session.is_readable:
            message.set_result(None)
        if self._senders:
            self._wake_senders()
        if self._ackers:
            self._wake_ackers()

    def _wake_senders(self) -> None:
        if self.session.state in OVER:
            for sender in self._senders:
                resolve(sender.waiter)
        elif self.session.outgoing.has_room(self._senders[0].size):
            resolve(self._senders[0].waiter)

    def _wake_ackers(self) -> None:
        acked, ended = self.session.outgoing.acked, self.session.ending is not None
        for number, waiter in self._ackers:
            if ended or number <= acked:
                resolve(waiter)

    # Time and ends

    def tick(self, now: float) -> None:
        """The session's deadlines have moved: write what became due, fail senders that stall."""
        for link in list(self.links):
            link.tick(now)
        if self._senders:
            self._tick_stall(now)
        elif self._stall is not None:
            self._stall = None

    def _tick_stall(self, now: float) -> None:
        acked = self.session.outgoing.acked
        if self._stall is None or self._stall[0] != acked or not self.session.attachments.live:
            self._stall = (acked, now)
        elif now - self._stall[1] >= self.session.limits.stall:
            self._stall = None
            event(
                WARNING,
                "stalled",
                "its page is connected and acknowledges nothing, so send() fails",
                channel=self.session.id,
            )
            for sender in self._senders:
                sender.stalled = True
                resolve(sender.waiter)

    def overflow(self) -> None:
        """A message for many met a full buffer: this one session ends (DAT-6)."""
        event(
            WARNING,
            "overflow",
            "a message for many met its full buffer: it was reset",
            channel=self.session.id,
        )
        self.session.reset(ResetReason.OVERFLOW)
        self.poke()

    def drain(self, retry_in: float) -> None:
        """Hand the session over: its clients are told, and whoever waits here (DRN-1)."""
        self.draining = True
        self.session.drain(retry_in)
        for link in self.links:
            link.wake()
        if self._message is not None:
            resolve(self._message)
        for waiter in (*(sender.waiter for sender in self._senders), *(w for _, w in self._ackers)):
            resolve(waiter)

    def _end(self) -> None:
        self.ended = True
        ending = self.session.ending
        assert ending is not None
        # The reason of a close is the application's, or a client's: only ours is for the log.
        event(
            INFO,
            "ended",
            channel=self.session.id,
            code=ending.code,
            by=ending.by,
            reset=ending.reset.value if ending.reset is not None else None,
        )
        for link in list(self.links):
            link.wake()
        self.on_end()


def resolve(waiter: asyncio.Future[None]) -> None:
    """Let who waits go on; twice is once."""
    if not waiter.done():
        waiter.set_result(None)


def _handed_over() -> ChannelClosed:
    return ChannelClosed(1012, "the server restarts")
