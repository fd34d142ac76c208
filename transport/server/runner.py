"""`Runner`: one session of this process: its handler's task, its credentials, and its end.

Who waits for what is the `SessionDriver`'s; this is who runs the application's code for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.codes import Code
from transport.errors import ChannelClosed, ProtocolError
from transport.protocol.states import State
from transport.server.authentication import Authenticator, Identity
from transport.server.channel import Channel
from transport.server.driver import OVER, SessionDriver
from transport.telemetry.log import ERROR, WARNING, event

Handler = Callable[[Channel], Awaitable[None]]

CANCEL_TIMEOUT = 1.0
"""What a handler that is cancelled may take for its ``finally``, before its server ends."""


class Owner(Protocol):
    """Whoever keeps the session, and is told how it fares."""

    def session_ended(self, runner: Runner) -> None:
        """The session has ended; once more where its handler finished a message after that."""
        ...

    def handler_ended(self, runner: Runner) -> None:
        """The handler's task is over."""
        ...


class Runner:
    """One session of this process, and the task of its handler.

    Args:
        driver: of the session.
        owner: is told when it ends.
        authenticator: for renewed credentials.
        subject, address: for the admission's counts.
    """

    __slots__ = (
        "_authenticator",
        "_cancel_at",
        "_expires",
        "_owner",
        "_renew_by",
        "_task",
        "address",
        "channel",
        "connection",
        "driver",
        "pending_tombstones",
        "session",
        "subject",
    )

    channel: Channel

    def __init__(
        self,
        driver: SessionDriver,
        owner: Owner,
        authenticator: Authenticator,
        subject: str,
        address: str,
    ) -> None:
        self.driver = driver
        self.session = driver.session
        self.subject = subject
        self.address = address
        self.pending_tombstones = 0
        """Tombstones that the store is still to take: until then an ``open`` finds it here."""
        self.connection: HTTPConnection | None = None
        """The one that was attached last: who renews is identified by it."""
        self._owner = owner
        self._authenticator = authenticator
        self._task: asyncio.Task[None] | None = None
        self._cancel_at: float | None = None
        self._expires: float | None = None
        self._renew_by: float | None = None
        driver.on_end = self._ended

    # The handler

    def start(self, handler: Handler, scope: Scope, user: Any) -> None:
        """Call the handler, in a task of its own."""
        self.channel = Channel(self.driver, scope, user)
        running = self._run(handler, self.channel)
        self._task = self.driver.loop.create_task(running, name=f"channel {self.session.id}")

    async def _run(self, handler: Handler, channel: Channel) -> None:
        try:
            await self._call(handler, channel)
        except asyncio.CancelledError:
            if not self.driver.draining:
                self._returned(codes.INTERNAL, failed=True)
            raise
        except Exception:  # noqa: BLE001 - all of it is in the log
            event(ERROR, "handler_failed", channel=self.session.id, exc_info=True)
            self._returned(codes.INTERNAL, failed=True)
        else:
            self._returned(codes.NORMAL)
        finally:
            self._owner.handler_ended(self)

    async def _call(self, handler: Handler, channel: Channel) -> None:
        """That the session ends is no failure of its handler, in whatever task it is noticed."""
        try:
            await handler(channel)
        except* ChannelClosed:
            if self.session.state is State.OPEN and not self.driver.draining:
                raise  # it was another channel

    def _returned(self, code: Code, *, failed: bool = False) -> None:
        session = self.session
        if session.state is State.CLOSED:
            if not failed:
                session.incoming.finish()
                self._owner.session_ended(self)
            return
        if self.driver.draining or session.state is State.CLOSING:
            return  # drained: the session is handed over, not closed
        peer = session.peer_close
        if failed:
            session.close(
                1011, "the server's handler failed", "protocol", self.driver.now(), failed=True
            )
        elif peer is not None:
            session.close(peer.code, peer.reason, peer.by, self.driver.now())
        else:
            session.close(code.websocket or 1000, "", "app", self.driver.now())
        self.driver.notify()

    def dismiss(self) -> bool:
        """The user may be here no more; whether the session lived."""
        if self.session.state in OVER:
            return False
        code = codes.UNAUTHORIZED
        self.session.close(
            code.websocket or 1000, "the user was dismissed", "protocol", self.driver.now()
        )
        self.driver.notify()
        return True

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
        identity = await self._authenticator.identify(self.connection, credentials)
        if identity.subject != self.subject:
            raise ProtocolError(codes.UNAUTHORIZED, "these credentials are another user's")
        if self.session.ending is None:  # it may have ended meanwhile
            self.admit(identity)

    def check_credentials(self) -> None:
        """Refuse a client that was asked for new credentials and gave none (REN-1).

        Raises:
            ProtocolError: ``unauthorized``.
        """
        if self._renew_by is not None and self.driver.now() >= self._renew_by:
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials have expired")

    def _tick_credentials(self, now: float) -> None:
        if self._expires is not None and asyncio.get_running_loop().time() >= self._expires:
            within = self.session.limits.renewal
            self._expires = None
            self._renew_by = now + within
            self.session.ask_renewal(within)
        try:
            self.check_credentials()
        except ProtocolError as error:
            for link in self.driver.links:
                link.fail(error)

    # Time and ends

    def tick(self, now: float) -> None:
        """The sweep comes by."""
        session, driver = self.session, self.driver
        session.tick(now)
        self._tick_credentials(now)
        driver.tick(now)
        peer = session.peer_close
        if peer is not None and self._cancel_at is None and session.state is State.PEER_CLOSED:
            self._cancel_at = now + session.limits.closing
        if self._cancel_at is not None and now >= self._cancel_at and self._task is not None:
            if not self._task.done():
                event(WARNING, "handler_cancelled", "it outlived its session", channel=session.id)
                self._task.cancel()
                if session.state is State.PEER_CLOSED:
                    session.close(1011, "the handler did not end", "protocol", now, failed=True)
            self._cancel_at = float("inf")
            driver.notify()
        elif session.ending is not None and not driver.ended:
            driver.notify()  # not always: most sweeps find nothing due in most sessions

    def _ended(self) -> None:
        if self._cancel_at is None:
            self._cancel_at = self.driver.now() + self.session.limits.closing
        self._owner.session_ended(self)

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return (
            self.driver.ended
            and not self.pending_tombstones
            and (self._task is None or self._task.done())
        )

    def release(self) -> None:
        """The owner has done with it: what refers to it from elsewhere is all that keeps it."""
        self.channel._leave_groups()
        del self.channel, self.driver.on_end  # no need for a collector of cycles

    def stop(self) -> None:
        """Its hub ends: so does the handler, now."""
        if self._task is not None:
            self.driver.draining = True  # the session is nobody's, and nothing is closed by this
            self._task.cancel()

    async def drained(self, grace: float) -> None:
        """Wait for the handler, and cancel it after the grace."""
        if self._task is None or self._task.done():
            return
        await asyncio.wait([self._task], timeout=grace)
        if not self._task.done():
            event(WARNING, "handler_cancelled", "its server ends", channel=self.session.id)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_TIMEOUT)
