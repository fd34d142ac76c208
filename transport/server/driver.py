"""`SessionDriver`: the asyncio side of one `ServerSession`: its links, and the tasks that wait.

After every input it wakes the tasks whose condition may now hold (`notify`). There is no queue,
lock, scope or task per message: a writer has a cursor into the session's buffer, and each wait is
one future.

The driver knows neither handler, registry, channel nor connection; these hold a driver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transport.errors import Busy, ChannelClosed
from transport.protocol.codec import Encoder, Payload
from transport.protocol.frames import Json
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.footprint import footprint
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionState
from transport.send_window import SendWindow
from transport.server.clock import Clock
from transport.server.driven_journal import DrivenJournal
from transport.server.driven_link import DrivenLink
from transport.server.memory import FIRST_GRANT, Memory
from transport.server.patience import Patience
from transport.server.presence import Presence
from transport.server.reception import UNCLAIMED, Reception
from transport.server.session_log import (
    log_detached,
    log_ended,
    log_full_buffer,
    log_full_memory,
    log_stalled,
)
from transport.waiting import resolve

NOT_SENDING = (SessionState.CLOSING, SessionState.CLOSED)
"""States in which no more messages are numbered."""


class SessionDriver:
    """Drives one session.

    Args:
        session: the session.
        clock: the process's.
        encoder: called for a value that JSON cannot represent; None refuses it.
        memory: the bound on what all sessions take.

    Attributes:
        accepted: whether sends of the hub reach the session. Not before a WebSocket application
            accepts it: its answer is message 1 (TGT-1).
        links: the connections that are attached, or are still writing their last frames.
        window: the senders that wait for room.
        attaches: how many connections were ever attached.
        grant: see `transport.server.memory.Member`.
        draining: whether the session is being handed over to another process (DRN-1).
        gives_up: whether that goes on with it, once the handler here has finished with the message
            in its hand.
        ended: whether the end of the session has been handled.
        journal: writes the session to a store; None if it lives in this process only.
        on_end: called once, when the session has ended.
        reception: the task that receives.
        thread: the identifier of the only thread that may use the session.
    """

    on_end: Callable[[], None]

    __slots__ = (
        "_handled_waiters",
        "_memory",
        "_presence",
        "accepted",
        "attaches",
        "draining",
        "encoder",
        "ended",
        "gives_up",
        "grant",
        "journal",
        "links",
        "loop",
        "now",
        "on_end",
        "reception",
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
        self.accepted = True
        self.links: list[DrivenLink] = []
        self.window = SendWindow(session.outgoing.has_room)
        self.attaches = 0
        self.draining = False
        self.gives_up = False
        self.ended = False
        self.journal: DrivenJournal | None = None
        self.reception = Reception()
        self._presence: Presence | None = None
        self._handled_waiters: list[asyncio.Future[None]] = []

    # Calls of the channel

    def send(self, payload: Payload, size: int, *, offered: bool = False) -> int:
        """Number a message of ``size`` bytes, and wake the writers.

        Args:
            payload: the message.
            size: its bytes.
            offered: whether it is not the handler's own.

        Raises:
            ChannelClosed: the session is closing or over, or is handed over.
        """
        if self.draining and not self.is_finishing:
            raise self.handed_over()
        number = self.session.send(payload, size)
        if footprint(self.session) > self.grant:
            self._memory.grow(self)
        if (journal := self.journal) is not None:
            if offered:
                self.session.offered()
            if not journal.is_busy:
                journal.changed()
            return number
        for link in self.links:
            if link.waiter is not None and not link.attachment.posts:
                link.wake_writer()
        return number

    def try_send(self, payload: Payload, size: int) -> bool:
        """Send for the hub, without waiting. A full buffer resets the session (DAT-6).

        Returns:
            Whether the message was numbered.
        """
        session = self.session
        if not self.accepted:
            return False
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
        self.send(payload, size, offered=True)
        return True

    def check_open(self) -> None:
        """Check that messages can still be numbered here.

        Raises:
            ChannelClosed: the session is closing or over, or is handed over.
        """
        if self.session.state in NOT_SENDING:
            raise self.session.closed_error()
        if self.draining and not self.is_finishing:
            raise self.handed_over()

    @property
    def is_finishing(self) -> bool:
        """Whether the handler may send, though the session is handed over: for the message in its
        hand, which would be given to the next handler again."""
        incoming = self.session.incoming
        return self.gives_up and incoming.delivered != incoming.handled

    def handed_over(self) -> ChannelClosed:
        """Return the error for what this process no longer does for the session."""
        return ChannelClosed(1012, "the server is restarting", self.session.id)

    def receive_nowait(self) -> Json:
        """Return the next message, or `EMPTY`.

        A message for which there is no memory is not given out: the session is reset.

        Raises:
            Busy: another task waits for a message.
            ChannelClosed: there will be none, or the session is handed over.
        """
        if self.reception.waiter is not None:
            if self.reception.waiter is not UNCLAIMED:
                raise Busy("another task is in receive() on this channel")
            self.reception.claim()
            if self._presence is not None:
                self._presence.received()
        session = self.session
        incoming = session.incoming
        if self.draining:
            incoming.mark_handled()  # what the handler had in hand, as it asks for the next
            raise self.handed_over()
        handled = incoming.handled
        if (journal := self.journal) is not None:
            journal.check_lease()
        try:
            message = session.receive_nowait()
        except ChannelClosed:
            if session.state is SessionState.CLOSED:
                incoming.mark_handled()  # what the handler had in hand, as it asks for the next
            raise
        finally:
            if incoming.handled != handled:  # here for speed: this runs for every message
                if journal is not None:  # nobody is told before it is stored
                    if not journal.is_busy:
                        journal.changed()
                else:
                    for link in self.links:
                        if link.waiter is not None:
                            link.wake_writer_if_due()
                    if self._handled_waiters:
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
            self.reception.waiter = self.loop.create_future()
            try:
                await self.reception.waiter
            finally:
                self.reception.waiter = self.reception.at_rest
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

    def stop_receiving(self) -> None:
        """Refuse messages until a task receives: nobody does (DAT-7)."""
        self.reception.stop()
        self.session.stop_reading()
        self.notify()

    # Calls of requests

    async def handled_in_time(self, patience: Patience) -> None:
        """Wait until everything received is handled, or ``patience`` has ended (SND-2)."""
        incoming = self.session.incoming
        if incoming.shown >= incoming.received or self.session.ending is not None:
            return
        waiter = self.loop.create_future()
        self._handled_waiters.append(waiter)
        patience.limit(waiter)
        try:
            await waiter
        finally:
            if waiter in self._handled_waiters:
                self._handled_waiters.remove(waiter)

    def _wake_handled(self) -> None:
        incoming = self.session.incoming
        if incoming.shown >= incoming.received:
            waiters, self._handled_waiters = self._handled_waiters, []
            for waiter in waiters:
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
            log_detached(self.session, link.attachment)
            self.links.remove(link)
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
            if link.waiter is not None:
                link.wake_writer_if_due()
        self.data_received()
        session = self.session
        if session.ending is not None and session.end_shown and not self.ended:
            self._end()

    def stored(self) -> None:
        """Wake every task that waits for the store, which has taken what there was."""
        if self._handled_waiters:
            self._wake_handled()
        self.notify()

    def data_received(self) -> None:
        """Wake the tasks of the handler. Data never makes a writer due."""
        if self.journal is not None:
            self.journal.changed()
        if footprint(self.session) > self.grant:
            self._memory.grow(self, handed_over=self.session.inbox.in_hand_size > 0)
        waiter = self.reception.waiter
        if (
            waiter is not None
            and waiter is not UNCLAIMED
            and self.session.is_readable
            and not waiter.done()
        ):
            waiter.set_result(None)
        if self.window.senders:
            if self.session.state in NOT_SENDING:
                self.window.wake_all()
            else:
                self.window.wake_next()
        if self._presence is not None:
            self._presence.changed()

    # Time and ends

    def tick(self, now: float) -> None:
        """Write what became due at ``now``, and fail senders that have stalled."""
        for link in list(self.links):
            link.tick(now)
        if self._presence is not None:
            self._presence.tick(now)
        if self.window.senders and self._has_stalled(now):
            log_stalled(self.session)

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
        log_full_buffer(self.session)
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
        log_full_memory(self.session)
        stuck = [link for link in self.links if link.waiter is None]
        self.session.overflow()
        self.notify()
        for link in stuck:  # in a write of its own, which keeps as much as the buffer did
            if link.abort is not None:
                link.abort()

    def drain(self, retry_in: float) -> None:
        """Hand the session over: tell its clients to reconnect, and end every wait (DRN-1)."""
        self.send_away(retry_in)
        self.hand_over()

    def send_away(self, retry_in: float) -> None:
        """Tell the clients to reconnect, to any process (DRN-1)."""
        self.session.drain(retry_in)
        for link in self.links:
            link.wake_writer_if_due()

    def hand_over(self) -> None:
        """End every wait of the handler: this process stops."""
        self.draining = True
        self.reception.wake()
        if self._presence is not None:
            self._presence.changed()
        self.window.wake_all()

    def _end(self) -> None:
        self.ended = True
        ending = self.session.ending
        assert ending is not None
        log_ended(self.session, ending)
        for link in list(self.links):
            link.wake_writer_if_due()
        self.on_end()
