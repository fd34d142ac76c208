"""`Runner`: drives one `Session`: its handler's task, its links, and who waits for what.

After each input it asks the session what has become due (`poke`) and wakes whom it concerns. There
is no queue, lock, scope or task per message: writers have a cursor into the session's buffer, and
every wait is one future.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.channel import Channel
from transport.codes import Code
from transport.errors import Busy, ChannelClosed, ProtocolError, Stalled
from transport.log import DEBUG, ERROR, INFO, WARNING, event
from transport.policy import Identity
from transport.protocol.codec import Payload, encode_control
from transport.protocol.frames import Json, Renewal, ResetReason
from transport.protocol.session import WAITING, Attachment, Session
from transport.protocol.states import State
from transport.session_link import SessionLink, resolve

if TYPE_CHECKING:
    from transport.group import Group
    from transport.registry import Registry

Handler = Callable[[Channel], Awaitable[None]]

CLEANUP = 1.0
"""What a handler that is cancelled may take for its ``finally``, before its server ends."""

_OVER = (State.CLOSING, State.CLOSED)


@dataclass(slots=True, eq=False)
class _Sender:
    """A ``send()`` that waits for room."""

    size: int
    waiter: asyncio.Future[None]
    stalled: bool = False


class Runner:
    """One session of this process, and the task of its handler.

    Args:
        session: the session.
        registry: that it belongs to.
        subject, address: for the admission's counts.
    """

    __slots__ = (
        "_ackers",
        "_answers",
        "_buried",
        "_cancel_at",
        "_draining",
        "_expires",
        "_message",
        "_registry",
        "_renew_by",
        "_senders",
        "_stall",
        "_task",
        "address",
        "attaches",
        "burials",
        "channel",
        "connection",
        "groups",
        "links",
        "loop",
        "now",
        "session",
        "subject",
    )

    channel: Channel

    def __init__(self, session: Session, registry: Registry, subject: str, address: str) -> None:
        self.session = session
        self.now = registry.now
        """Seconds of the registry's clock."""
        self.loop = registry.loop
        self.subject = subject
        self.address = address
        self.links: list[SessionLink] = []
        self.attaches = 0
        self.burials = 0
        """Tombstones that the store is still to take: until then an ``open`` finds it here."""
        self.groups: set[Group] | None = None
        self.connection: HTTPConnection | None = None
        """The one that was attached last: who renews is identified by it."""
        self._registry = registry
        self._message: asyncio.Future[None] | None = None
        self._senders: list[_Sender] = []
        self._ackers: list[tuple[int, asyncio.Future[None]]] = []
        self._answers: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None
        self._stall: tuple[int, float] | None = None
        self._cancel_at: float | None = None
        self._expires: float | None = None
        self._renew_by: float | None = None
        self._draining = False
        self._buried = False

    # The handler

    def start(self, handler: Handler, scope: Scope, user: Any) -> None:
        """Call the handler, in a task of its own."""
        self.channel = Channel(self, scope, user)
        running = self._run(handler, self.channel)
        self._task = self.loop.create_task(running, name=f"channel {self.session.id}")

    async def _run(self, handler: Handler, channel: Channel) -> None:
        try:
            await self._call(handler, channel)
        except asyncio.CancelledError:
            if not self._draining:
                self._returned(codes.INTERNAL, failed=True)
            raise
        except Exception:  # noqa: BLE001 - all of it is in the log
            event(ERROR, "handler_failed", channel=self.session.id, exc_info=True)
            self._returned(codes.INTERNAL, failed=True)
        else:
            self._returned(codes.NORMAL)
        finally:
            self._registry.handler_ended(self)

    async def _call(self, handler: Handler, channel: Channel) -> None:
        """That the session ends is no failure of its handler, in whatever task it is noticed."""
        try:
            await handler(channel)
        except* ChannelClosed:
            if self.session.state is State.OPEN and not self._draining:
                raise  # it was another channel

    def _returned(self, code: Code, *, failed: bool = False) -> None:
        session = self.session
        if session.state is State.CLOSED:
            if not failed:
                session.incoming.finish()
                self._registry.bury(self)
            return
        if self._draining or session.state is State.CLOSING:
            return  # drained: the session is handed over, not closed
        peer = session.peer_closed_with
        if failed:
            session.close(1011, "the server's handler failed", "protocol", self.now(), failed=True)
        elif peer is not None:
            session.close(peer.code, peer.reason, peer.by, self.now())
        else:
            session.close(code.websocket or 1000, "", "app", self.now())
        self.poke()

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
        if session.state in _OVER:
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
                if session.state in _OVER:
                    raise session.closed()
                if self._draining:
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
                raise self.session.closed()
            if self._draining:
                raise _handed_over()
            entry = (number, self.loop.create_future())
            self._ackers.append(entry)
            try:
                await entry[1]
            finally:
                self._ackers.remove(entry)

    def take(self) -> Json:
        """The next message, or `WAITING`."""
        if self._message is not None:
            raise Busy("another task is in receive() on this channel")
        if self._draining:
            raise _handed_over()
        session = self.session
        incoming = session.incoming
        handled = incoming.handled
        try:
            return session.take()
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
            if message is not WAITING:
                return message

    def close(self, code: int, reason: str) -> None:
        """The application closes."""
        if self.session.state in (State.OPEN, State.PEER_CLOSED):
            self.session.close(code, reason, "app", self.now())
            self.poke()

    def dismiss(self) -> bool:
        """The user may be here no more; whether the session lived."""
        if self.session.state not in (State.OPEN, State.PEER_CLOSED):
            return False
        code = codes.UNAUTHORIZED
        self.session.close(code.websocket or 1000, "the user was dismissed", "protocol", self.now())
        self.poke()
        return True

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

    # Groups

    def leave_groups(self) -> None:
        """The session is over: no group sends to it any more."""
        for group in list(self.groups or ()):
            group.discard(self.channel)

    def let_go(self) -> None:
        """The registry has done with it: what refers to it from elsewhere is all that keeps it."""
        del self.channel  # which refers to this: no need for a collector of cycles

    # Credentials: the session's, for a POST may come where no connection stands

    def admit(self, identity: Identity) -> None:
        """Its subject is here: over a new connection, or with new credentials."""
        self.channel.user = identity.user
        self._renew_by = None
        self._expires = (
            None
            if identity.expires is None
            # Unix time into the loop's. Not into `now`: no stop of ours makes credentials last.
            else asyncio.get_running_loop().time() + identity.expires - time.time()
        )

    async def renew(self, credentials: Any) -> None:
        """Take fresh credentials (REN-1).

        Raises:
            ProtocolError: ``unauthorized``, ``unavailable`` or ``too_many``.
        """
        assert self.connection is not None
        identity = await self._registry.identify_again(self.connection, credentials)
        if identity.subject != self.subject:
            raise ProtocolError(codes.UNAUTHORIZED, "these credentials are another user's")
        if self.session.ending is None:  # it may have ended meanwhile
            self.admit(identity)

    def check_credentials(self) -> None:
        """Refuse a client that was asked for new credentials and gave none (REN-1).

        Raises:
            ProtocolError: ``unauthorized``.
        """
        if self._renew_by is not None and self.now() >= self._renew_by:
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials have expired")

    def _tick_credentials(self, now: float) -> None:
        if self._expires is not None and asyncio.get_running_loop().time() >= self._expires:
            within = self.session.limits.renewal
            self._expires = None
            self._renew_by = now + within
            for attachment in self.session.attachments:
                attachment.control.append(encode_control(Renewal(within=within)))
        try:
            self.check_credentials()
        except ProtocolError as error:
            for link in self.links:
                link.fail(error)

    # Links

    def attach(self, link: SessionLink) -> None:
        """A connection was attached."""
        self.links.append(link)
        self.attaches += 1
        self.poke()

    def lost(self, link: SessionLink) -> None:
        """A connection is gone."""
        if link in self.links:
            code = link.attachment.code
            event(
                DEBUG,
                "detached",
                channel=self.session.id,
                transport=link.attachment.carrier.value,
                code=code.name if code is not None else None,
            )
        self.session.detach(link.attachment)
        self.forget(link)
        link.wake()
        self.poke()

    def drop(self, link: SessionLink) -> None:
        """End a connection from our side once its last frames are written."""
        self.session.detach(link.attachment)
        link.wake()

    def forget(self, link: SessionLink) -> None:
        """Look at it no more."""
        if link in self.links:
            self.links.remove(link)

    def find_link(self, attachment: Attachment) -> SessionLink | None:
        """The link of an attachment."""
        return next((link for link in self.links if link.attachment is attachment), None)

    def poke(self) -> None:
        """Something came in: wake whom it concerns."""
        for link in self.links:
            link.wake()
        self.arrived()
        if self.session.ending is not None and not self._buried:
            self._end()

    def arrived(self) -> None:
        """Data came in, which makes no connection due: wake the handler and who waits for acks."""
        message = self._message
        if message is not None and not message.done() and self.session.has_news:
            message.set_result(None)
        if self._senders:
            self._wake_senders()
        if self._ackers:
            self._wake_ackers()

    def _wake_senders(self) -> None:
        if self.session.state in _OVER:
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
        """The sweep comes by."""
        session = self.session
        session.tick(now)
        self._tick_credentials(now)
        for link in list(self.links):
            link.tick(now)
        if self._senders:
            self._tick_stall(now)
        elif self._stall is not None:
            self._stall = None
        peer = session.peer_closed_with
        if peer is not None and self._cancel_at is None and session.state is State.PEER_CLOSED:
            self._cancel_at = now + session.limits.closing
        if self._cancel_at is not None and now >= self._cancel_at and self._task is not None:
            if not self._task.done():
                event(WARNING, "handler_cancelled", "it outlived its session", channel=session.id)
                self._task.cancel()
                if session.state is State.PEER_CLOSED:
                    session.close(1011, "the handler did not end", "protocol", now, failed=True)
            self._cancel_at = float("inf")
            self.poke()
        elif session.ending is not None and not self._buried:
            self.poke()  # not always: most sweeps find nothing due in most sessions

    def _tick_stall(self, now: float) -> None:
        acked = self.session.outgoing.acked
        if self._stall is None or self._stall[0] != acked or not self.session.attachments:
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

    def _end(self) -> None:
        self._buried = True
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
        if self._cancel_at is None:
            self._cancel_at = self.now() + self.session.limits.closing
        for link in list(self.links):
            link.wake()
        self._registry.bury(self)

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return self._buried and not self.burials and (self._task is None or self._task.done())

    def drain(self, retry_in: float) -> None:
        """Hand the session over: its clients are told, its handler ends when it waits (DRN-1)."""
        self._draining = True
        self.session.drain(retry_in)
        for link in self.links:
            link.wake()
        if self._message is not None:
            resolve(self._message)
        for waiter in (*(sender.waiter for sender in self._senders), *(w for _, w in self._ackers)):
            resolve(waiter)

    def stop(self) -> None:
        """Its hub ends: so does the handler, now."""
        if self._task is not None:
            self._draining = True  # the session is nobody's, and nothing is closed by this
            self._task.cancel()

    async def drained(self, grace: float) -> None:
        """Wait for the handler, and cancel it after the grace."""
        if self._task is None or self._task.done():
            return
        await asyncio.wait([self._task], timeout=grace)
        if not self._task.done():
            event(WARNING, "handler_cancelled", "its server ends", channel=self.session.id)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLEANUP)


def _handed_over() -> ChannelClosed:
    return ChannelClosed(1012, "the server restarts")
