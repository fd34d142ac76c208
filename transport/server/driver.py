"""`SessionDriver`: the asyncio side of one `ServerSession`: its links, and the tasks that wait.

After every input it wakes the tasks whose condition may now hold (`notify`). There is no queue,
lock, scope or task per message: a writer has a cursor into the session's buffer, and each wait is
one future.

The driver knows neither handler, registry, channel nor connection; these hold a driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from transport.errors import Busy, ChannelClosed
from transport.protocol.codec import Encoder, Payload
from transport.protocol.frames import Json
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.footprint import footprint
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionState
from transport.send_window import SendWindow
from transport.server.adapters.ports import Link
from transport.server.clock import Clock
from transport.server.memory import FIRST_GRANT, Memory
from transport.server.presence import Presence
from transport.telemetry.log import DEBUG, INFO, WARNING, log_event
from transport.waiting import resolve

NOT_SENDING = (SessionState.CLOSING, SessionState.CLOSED)
"""States in which no more messages are numbered."""


class _Unclaimed(Enum):
    TOKEN = 0


UNCLAIMED = _Unclaimed.TOKEN
"""In the place of the future of the task that waits for a message: the next call of `receive` is to
record its task as the one that receives. Any further call costs nothing for that."""


class DrivenLink(Link, Protocol):
    """A connection's link as the driver sees it.

    Attributes:
        attachment: the connection's place in the session.
        waiter: the future that the writer awaits while there is nothing to write.
    """

    attachment: Attachment
    waiter: asyncio.Future[None] | None

    def wake_writer(self) -> None:
        """Wake the writer; the caller knows that there is something to write."""
        ...

    def wake_writer_if_due(self) -> None:
        """Wake the writer if there is something to write."""
        ...

    def tick(self, now: float) -> None:
        """Do what has become due at ``now``."""
        ...


class SessionDriver:
    """Drives one session.

    Args:
        session: the session.
        clock: the process's.
        encoder: called for a value that JSON cannot represent; None refuses it.
        memory: the bound on what all sessions take.

    Attributes:
        links: the connections that are attached, or are still writing their last frames.
        window: the senders that wait for room.
        attaches: how many connections were ever attached.
        grant: see `transport.server.memory.Member`.
        draining: whether the session is being handed over to another process (DRN-1).
        ended: whether the end of the session has been handled.
        on_end: called once, when the session has ended.
        receiver: the task that receives: the handler's, until another does.
        thread: the identifier of the only thread that may use the session.
    """

    on_end: Callable[[], None]

    __slots__ = (
        "_ack_waiters",
        "_handled_waiters",
        "_memory",
        "_message",
        "_presence",
        "attaches",
        "draining",
        "encoder",
        "ended",
        "grant",
        "links",
        "loop",
        "now",
        "on_end",
        "receiver",
        "session",
        "thread",
        "window",
    )

    def __init__(
        self,
        session: ServerSession,
        clock: Clock,
        memory: Memory,
        encoder: Encoder | None = None,
    ) -> None:
        self.session = session
        self.encoder = encoder
        self.grant = FIRST_GRANT
        self._memory = memory
        self.now = clock.now
        self.loop = clock.loop
        self.thread = clock.thread
        self.links: list[DrivenLink] = []
        self.window = SendWindow(session.outgoing.has_room)
        self.attaches = 0
        self.draining = False
        self.ended = False
        self.receiver: asyncio.Task[None] | None = None
        self._message: asyncio.Future[None] | _Unclaimed | None = UNCLAIMED
        """The future of the task that waits for a message."""
        self._presence: Presence | None = None
        self._ack_waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._handled_waiters: list[asyncio.Future[None]] = []

    # Calls of the channel

    def send(self, payload: Payload, size: int) -> int:
        """Number a message of ``size`` bytes, and wake the writers.

        Raises:
            ChannelClosed: the session is closing or over, or is handed over.
        """
        if self.draining:
            raise self._handed_over()
        number = self.session.send(payload, size)
        if footprint(self.session) > self.grant:
            self._memory.grow(self)
        for link in self.links:
            if link.waiter is not None:
                link.wake_writer()
        return number

    def try_send(self, payload: Payload, size: int) -> bool:
        """Send without waiting. If the buffer is full, reset the session (DAT-6, ``overflow``).

        Returns:
            Whether the message was numbered.
        """
        session = self.session
        if session.state in NOT_SENDING or self.draining:
            if session.dropped:
                session.overflow()  # count this one too, for the page's reset
            return False
        promised = self.window.promised if self.window.senders else None
        if not (
            session.outgoing.has_room(size)
            if promised is None
            else session.outgoing.has_room(size + promised.size, messages=2)
        ):
            self.overflow()
            return False
        self.send(payload, size)
        return True

    def check_open(self) -> None:
        """Check that messages can still be numbered here.

        Raises:
            ChannelClosed: the session is closing or over, or is handed over.
        """
        if self.session.state in NOT_SENDING:
            raise self.session.closed_error()
        if self.draining:
            raise self._handed_over()

    def _handed_over(self) -> ChannelClosed:
        return ChannelClosed(1012, "the server is restarting", self.session.id)

    async def acknowledged(self, number: int) -> None:
        """Wait until the client has acknowledged the message of that number.

        Raises:
            ValueError: no message has that number yet.
            ChannelClosed: the session ended first, or is handed over.
        """
        if number > self.session.outgoing.last:
            raise ValueError(f"no message has the number {number} yet")
        while self.session.outgoing.acked < number:
            if self.session.ending is not None:
                raise self.session.closed_error()
            if self.draining:
                raise self._handed_over()
            entry = (number, self.loop.create_future())
            self._ack_waiters.append(entry)
            try:
                await entry[1]
            finally:
                self._ack_waiters.remove(entry)

    def receive_nowait(self) -> Json:
        """Return the next message, or `EMPTY`.

        A message for which there is no memory is not given out: the session is reset.

        Raises:
            Busy: another task waits for a message.
            ChannelClosed: there will be none, or the session is handed over.
        """
        if self._message is not None:
            if self._message is not UNCLAIMED:
                raise Busy("another task is in receive() on this channel")
            self._message = None
            self.receiver = asyncio.current_task()
            if self._presence is not None:
                self._presence.received()
        if self.draining:
            raise self._handed_over()
        session = self.session
        incoming = session.incoming
        handled = incoming.handled
        try:
            message = session.receive_nowait()
        finally:
            if incoming.handled != handled:
                self._wake_handled()
        if session.inbox.in_hand_size and footprint(session) > self.grant:
            self._memory.grow(self, handed_over=True)
            if session.ending is not None:
                del message  # or the traceback would keep it
                session.inbox.in_hand_size = 0
                self._memory.settle(self)
                raise session.closed_error()
        return message

    async def wait_for_message(self) -> Json:
        """Wait for the next message, and return it. Errors: see `receive_nowait`."""
        while True:
            self._message = self.loop.create_future()
            try:
                await self._message
            finally:
                self._message = None
            message = self.receive_nowait()
            if message is not EMPTY:
                return message

    def close(self, code: int, reason: str) -> None:
        """Close the session for the application; no effect if it is closing already."""
        if self.session.state not in NOT_SENDING:
            self.session.close(code, reason, "app", self.now())
            self.notify()

    # Presence

    @property
    def presence(self) -> Presence:
        """The waits of the handler for its client, and for the end."""
        if self._presence is None:
            self._presence = Presence(self)
        return self._presence

    @property
    def is_connected(self) -> bool:
        """Whether a connection is attached whose client has not left for good."""
        session = self.session
        return bool(session.attachments.live) and not session.has_left

    @property
    def is_over(self) -> bool:
        """Whether no more messages are numbered here."""
        return self.draining or self.session.state in NOT_SENDING

    @property
    def has_received(self) -> bool:
        """Whether a task has begun to receive, and did not stop."""
        return self._message is not UNCLAIMED

    @property
    def is_receiving(self) -> bool:
        """Whether a task waits for a message."""
        return self._message is not None and self._message is not UNCLAIMED

    def stop_receiving(self) -> None:
        """Refuse messages until a task receives: nobody does (DAT-7)."""
        self._message = UNCLAIMED
        self.session.stop_reading()
        self.notify()

    # Calls of requests

    async def handled_within(self, seconds: float) -> None:
        """Wait until everything received is handled, or ``seconds`` have passed (SND-2)."""
        incoming = self.session.incoming
        if incoming.handled >= incoming.received or self.session.ending is not None:
            return
        waiter = self.loop.create_future()
        self._handled_waiters.append(waiter)
        timer = self.loop.call_later(seconds, resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            if waiter in self._handled_waiters:
                self._handled_waiters.remove(waiter)

    def _wake_handled(self) -> None:
        for link in self.links:
            if link.waiter is not None:
                link.wake_writer_if_due()
        incoming = self.session.incoming
        if self._handled_waiters and incoming.handled >= incoming.received:
            for waiter in self._handled_waiters:
                resolve(waiter)

    # Links

    def attach(self, link: DrivenLink) -> None:
        """Add the link of an attached connection."""
        self.links.append(link)
        self.attaches += 1
        self.notify()

    def connection_lost(self, link: DrivenLink) -> None:
        """Detach a connection that is gone."""
        self.session.attachments.detach(link.attachment)
        if link in self.links:
            code = link.attachment.code
            log_event(
                DEBUG,
                "detached",
                channel=self.session.id,
                transport=link.attachment.transport.value,
                code=code.name if code is not None else None,
            )
        self.remove_link(link)
        link.wake_writer_if_due()
        self.notify()

    def remove_link(self, link: DrivenLink) -> None:
        """Stop tracking this link."""
        if link in self.links:
            self.links.remove(link)

    def find_link(self, attachment: Attachment) -> DrivenLink | None:
        """Return the link of an attachment, or None."""
        return next((link for link in self.links if link.attachment is attachment), None)

    # Wake-ups

    def notify(self) -> None:
        """Wake every task whose condition may now hold: the session has changed."""
        for link in self.links:
            link.wake_writer_if_due()
        self.data_received()
        if self._presence is not None:
            self._presence.changed()
        if self.session.ending is not None and not self.ended:
            self._end()

    def data_received(self) -> None:
        """Wake the handler and the tasks that wait for acks. Data never makes a writer due."""
        if footprint(self.session) > self.grant:
            self._memory.grow(self, handed_over=self.session.inbox.in_hand_size > 0)
        message = self._message
        if (
            message is not None
            and message is not UNCLAIMED
            and not message.done()
            and self.session.is_readable
        ):
            message.set_result(None)
        if self.window.senders:
            if self.session.state in NOT_SENDING:
                self.window.wake_all()
            else:
                self.window.wake_next()
        if self._ack_waiters:
            acked, ended = self.session.outgoing.acked, self.session.ending is not None
            for number, waiter in self._ack_waiters:
                if ended or number <= acked:
                    resolve(waiter)

    # Time and ends

    def tick(self, now: float) -> None:
        """Write what became due at ``now``, and fail senders that have stalled."""
        for link in list(self.links):
            link.tick(now)
        if self._presence is not None:
            self._presence.tick(now)
        if self.window.senders and self._has_stalled(now):
            log_event(
                WARNING,
                "stalled",
                "the client is connected but acknowledges nothing, so send() raises Stalled",
                channel=self.session.id,
            )

    def _has_stalled(self, now: float) -> bool:
        session = self.session
        return self.window.fail_if_stalled(
            session.outgoing.acked,
            now,
            session.limits.stall,
            is_attached=bool(session.attachments.live),
        )

    def overflow(self) -> None:
        """Reset the session: a message of a group found its send buffer full (DAT-6)."""
        log_event(
            WARNING,
            "overflow",
            "a broadcast found this session's send buffer full, so the session was reset",
            channel=self.session.id,
        )
        self.session.overflow()
        self.notify()

    def footprint(self) -> int:
        """Return about how many bytes of memory the session's buffers take."""
        return footprint(self.session)

    def reclaimable(self) -> int:
        """Return how many of these a reset would free."""
        session = self.session
        return 0 if session.ending is not None else footprint(session) - session.inbox.in_hand_size

    def free_memory(self) -> None:
        """Reset the session: it is the largest of those that grow, and there is no more memory."""
        log_event(
            WARNING,
            "overflow",
            "the sessions take all of Limits(memory=...), and this one most, so it was reset",
            channel=self.session.id,
        )
        stuck = [link for link in self.links if link.waiter is None]
        self.session.overflow()
        self.notify()
        for link in stuck:  # in a write of its own, which keeps as much as the buffer did
            if link.abort is not None:
                link.abort()

    def drain(self, retry_in: float) -> None:
        """Hand the session over: tell its clients to reconnect, and end every wait (DRN-1)."""
        self.draining = True
        self.session.drain(retry_in)
        for link in self.links:
            link.wake_writer_if_due()
        if isinstance(self._message, asyncio.Future):
            resolve(self._message)
        if self._presence is not None:
            self._presence.changed()
        self.window.wake_all()
        for _, waiter in self._ack_waiters:
            resolve(waiter)

    def _end(self) -> None:
        self.ended = True
        ending = self.session.ending
        assert ending is not None
        # The reason of a close is not logged: it is the application's or a client's text.
        log_event(
            INFO,
            "ended",
            channel=self.session.id,
            code=ending.code,
            by=ending.by,
            reset=ending.reset.value if ending.reset is not None else None,
        )
        for link in list(self.links):
            link.wake_writer_if_due()
        self.on_end()
