"""`Runner`: runs the application's handler for one session.

The `SessionDriver` below it does the rest of the session's waiting. A session closes when its
handler returns; a handler whose session has ended is given ``limits.closing`` seconds to return,
and is then cancelled.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Protocol, assert_never

from starlette.types import Scope

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.frames import ResetReason, Target
from transport.protocol.states import SessionState
from transport.server.application import Application, Handler, call
from transport.server.authentication import Identity
from transport.server.channel import Channel
from transport.server.credentials import Due, SessionCredentials, other_user_error, refused_error
from transport.server.driver import NOT_SENDING, SessionDriver
from transport.server.handler_log import log_cancelled, log_failed, log_returned_at_once

REOPEN_DELAY = 1.0
"""Seconds after which a page may open a new session when its handler has failed (CLS-8)."""

AT_ONCE = 1.0
"""Seconds. A handler that returns sooner without having received was hardly meant to close the
channel."""

CANCEL_TIMEOUT = 1.0
"""Seconds that a cancelled handler has for its ``finally`` before its server stops."""


class Owner(Protocol):
    """The owner of a runner, which is notified when it ends."""

    def session_ended(self, runner: Runner) -> None:
        """Handle the end of the session."""
        ...

    def tombstone_changed(self, runner: Runner) -> None:
        """Handle what has changed after the end of the session, until the handler ended."""
        ...

    def handler_ended(self, runner: Runner) -> None:
        """Handle the end of the handler's task."""
        ...


class Runner:
    """One session of this process, and the task of its handler.

    Args:
        driver: of the session.
        owner: is notified of its end.
        credentials: of the session.
        address: under which the admission has counted it.
        cost: what it is charged besides its buffers, see `opening_cost`.

    Attributes:
        channel: what the handler was given.
        pending_tombstones: tombstones that the store has not confirmed yet. Until then an ``open``
            finds the session here.
    """

    __slots__ = (
        "_cancel_at",
        "_ends_in_drain",
        "_gives_up",
        "_owner",
        "_reopens",
        "_shuts_down",
        "_started_at",
        "_task",
        "address",
        "channel",
        "cost",
        "credentials",
        "driver",
        "pending_tombstones",
        "session",
    )

    channel: Channel

    def __init__(
        self,
        driver: SessionDriver,
        owner: Owner,
        credentials: SessionCredentials,
        address: str,
        cost: int,
    ) -> None:
        self.driver = driver
        self.session = driver.session
        self.credentials = credentials
        self.address = address
        self.cost = cost
        self.pending_tombstones = 0
        self._owner = owner
        self._task: asyncio.Task[None] | None = None
        self._cancel_at: float | None = None
        self._reopens = False
        self._ends_in_drain = False
        self._gives_up = False
        self._shuts_down = False
        self._started_at = 0.0
        driver.on_end = self._ended

    # The handler

    def start(
        self,
        application: Application,
        scope: Scope,
        user: Any,
        now: float,
        target: Target | None = None,
        *,
        resumed: bool = False,
    ) -> None:
        """Call the handler in a task of its own.

        Args:
            application: whose handler.
            scope: of the request that opens the session, or takes it over.
            user: see `Identity.user`.
            now: seconds.
            target: what an ``open`` asks a WebSocket application for (TGT-1).
            resumed: whether another process had the session before.
        """
        driver = self.driver
        self.channel = Channel(driver, scope, user)
        self.channel.resumed = resumed
        self._reopens = application.reopens
        self._ends_in_drain = application.serve_target is not None
        driver.accepted = application.serve_target is None
        self._started_at = now
        handler = application.handler
        if target is not None and application.serve_target is not None:
            handler = partial(application.serve_target, subprotocols=target.subprotocols)
        running = self._run(handler, self.channel)
        self._task = driver.loop.create_task(running, name=f"channel {self.session.id}")
        driver.reception.receiver = self._task

    def finish(self, scope: Scope, user: Any) -> None:
        """Run no handler: the session is only to be delivered until its end."""
        self.channel = Channel(self.driver, scope, user)

    async def _run(self, handler: Handler, channel: Channel) -> None:
        try:
            finished = await call(handler, channel)
        except BaseException as error:
            if not self.driver.loop.is_running():
                raise  # the coroutine was thrown away, with its loop
            if not self._is_cancelled(error):
                log_failed(self.session.id, is_over=self._has_ended, reopens=self._may_reopen)
            self._returned(codes.INTERNAL, failed=True)
            if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, SystemExit)):
                raise
        else:
            self._warn_if_at_once()
            self._returned(codes.NORMAL, finished=finished)
        finally:
            if self.driver.loop.is_running():
                self.driver.gives_up = False
                self.session.handler_ended()
                self._owner.handler_ended(self)

    @property
    def _has_ended(self) -> bool:
        """Whether the session is being handed over, closing or closed."""
        over = (SessionState.CLOSING, SessionState.CLOSED)
        return self.driver.draining or self.session.state in over

    @property
    def _may_reopen(self) -> bool:
        """Whether the page may open a new session if the handler fails (CLS-8)."""
        return self._reopens and self.session.peer_close is None

    def _is_cancelled(self, error: BaseException) -> bool:
        """Whether the handler's task was cancelled; not if it awaited another task that was."""
        if not isinstance(error, asyncio.CancelledError):
            return False
        assert self._task is not None
        return self.driver.draining or self._task.cancelling() > 0

    def _warn_if_at_once(self) -> None:
        """Warn that the handler returned as soon as it began, which closes the channel."""
        driver = self.driver
        if (
            self.session.state is SessionState.OPEN
            and not driver.draining
            and not driver.reception.has_begun
            and driver.now() - self._started_at < AT_ONCE
        ):
            log_returned_at_once(self.session.id)

    def _returned(self, code: Code, *, failed: bool = False, finished: bool = True) -> None:
        session = self.session
        if session.state is SessionState.CLOSED:
            if finished and not failed:
                session.incoming.mark_handled()
            self._owner.tombstone_changed(self)  # messages may have been dropped since, too
            return
        peer = session.peer_close
        is_closing = session.state is SessionState.CLOSING
        if self._shuts_down and not is_closing and (failed or peer is None):
            if finished and not failed:  # `receive()` has marked what it asked beyond
                session.incoming.mark_handled()
            session.reset(ResetReason.SHUTDOWN)
            self.driver.notify()
            return
        if is_closing or (self.driver.draining and not self._shuts_down):
            return
        if failed:
            session.close(
                1011,
                "the server's handler failed",
                "protocol",
                self.driver.now(),
                failed=True,
                retry_in=REOPEN_DELAY if self._may_reopen else None,
            )
        elif peer is not None:
            session.close(peer.code, peer.reason, peer.by, self.driver.now())
        else:
            session.close(code.close_code, "", "app", self.driver.now())
        self.driver.notify()

    def drain(self, retry_in: float) -> None:
        """Hand the session over within ``retry_in`` seconds: the server stops (DRN-1).

        That of a WebSocket application is closed instead, with 1012: only this process can serve
        it, and as on a WebSocket the page then connects anew.
        """
        if not self._ends_in_drain:
            self.driver.drain(retry_in)
        elif self.session.state not in NOT_SENDING:
            self.session.close(
                codes.RESTART.close_code,
                "the server is restarting",
                "protocol",
                self.driver.now(),
                failed=True,  # it may still be at its current message
                within=retry_in,  # after that nothing is left here to resume
            )
            self.driver.notify()

    def shut_down(self, grace: float) -> None:
        """Let the handler end, and then reset the session: only this process has it.

        Its client stays connected until then, so that it learns what was handled (RES-7).

        Args:
            grace: seconds after which the handler is cancelled.
        """
        if self._ends_in_drain:
            self.drain(grace)
            return
        self._shuts_down = True
        self._cancel_at = self.driver.now() + grace
        self.driver.hand_over()

    def give_up(self, grace: float) -> None:
        """Let the handler end, so that another process can go on with the session.

        Its client stays connected until then.

        Args:
            grace: seconds after which the handler is cancelled.
        """
        self._gives_up = True
        self._cancel_at = self.driver.now() + grace
        if self._ends_in_drain:
            self.drain(grace)
        else:
            self.driver.gives_up = True
            self.driver.hand_over()

    def lose(self, retry_in: float) -> None:
        """Cancel the handler, and send the clients away: another process has the session.

        Args:
            retry_in: seconds within which the clients connect again.
        """
        driver = self.driver
        driver.drain(retry_in)
        driver.ended = True
        if self._task is not None:
            self._task.cancel()

    @property
    def gives_up(self) -> bool:
        """Whether the session is for another process, once the handler here has ended."""
        return self._gives_up

    @property
    def has_returned(self) -> bool:
        """Whether no handler runs."""
        return self._task is None or self._task.done()

    def dismiss(self) -> bool:
        """Close the session because its user was revoked (IDN-2).

        Returns:
            Whether it was open.
        """
        if self.session.state in NOT_SENDING:
            return False
        self.session.close(
            codes.UNAUTHORIZED.close_code,
            "the user was dismissed",
            "protocol",
            self.driver.now(),
            failed=True,  # the handler may still be at its current message
        )
        self.driver.notify()
        return True

    # Credentials

    def admit(self, identity: Identity) -> None:
        """Accept the identity of a new connection, or of a renewal."""
        self.channel.user = identity.user
        self.credentials.accept(identity)

    def count_renewal(self) -> None:
        """Count a renewal; see `SessionCredentials.count_renewal`."""
        self.credentials.count_renewal()

    async def renew(self, credentials: Any) -> None:
        """Check fresh credentials and accept them; see `SessionCredentials.renew`.

        If they are refused, every connection of the session ends (REN-1).
        """
        try:
            identity = await self.credentials.renew(credentials)
        except ProtocolError as error:
            if self.credentials.are_refused:
                self._refuse(error)
            raise
        if self.session.ending is None:  # it may have ended during the check
            self.admit(identity)

    def accept_renewal(self, identity: Identity) -> None:
        """Accept fresh credentials that another process has checked.

        Raises:
            ProtocolError: ``unauthorized``.
        """
        self.credentials.check()
        if identity.subject != self.credentials.subject:
            raise other_user_error()
        if self.session.ending is None:
            self.credentials.accept(identity)

    def refuse_renewal(self, error: ProtocolError, accepted: int | None) -> None:
        """Refuse fresh credentials, as another process has judged them (REN-1).

        Unless others, of an ``open``, were accepted meanwhile.

        Args:
            error: why.
            accepted: how many credentials had been accepted when the check began.
        """
        if error.code is codes.UNAUTHORIZED and self.credentials.accepted == accepted:
            self.credentials.refuse()
            self._refuse(error)

    def _refuse(self, error: ProtocolError) -> None:
        for link in self.driver.links:
            link.fail(error)

    def _tick_credentials(self, due: Due) -> None:
        match due:
            case Due.ASK:
                self.session.ask_renewal(self.session.limits.renewal)
            case Due.REFUSE:
                self._refuse(refused_error())
            case _:
                assert_never(due)

    # Time and ends

    def tick(self, now: float) -> None:
        """Do what has become due at ``now``."""
        session, driver = self.session, self.driver
        session.tick(now)
        if driver.journal is not None:
            driver.journal.tick()
        if (due := self.credentials.due(now)) is not None:
            self._tick_credentials(due)
        driver.tick(now)
        peer = session.peer_close
        if (
            peer is not None
            and self._cancel_at is None
            and session.state is SessionState.PEER_CLOSED
        ):
            self._cancel_at = now + session.limits.closing
        if self._cancel_at is not None and now >= self._cancel_at and self._task is not None:
            if not self._task.done():
                log_cancelled(session.id, stops=self._shuts_down)
                self._task.cancel()
                if session.state is SessionState.PEER_CLOSED:
                    session.close(1011, "the handler did not return", "protocol", now, failed=True)
            self._cancel_at = float("inf")
            driver.notify()
        elif session.ending is not None and not driver.ended:
            driver.notify()  # only then: most sweeps find nothing due in most sessions

    def _ended(self) -> None:
        if self._cancel_at is None:
            self._cancel_at = self.driver.now() + self.session.limits.closing
        self._owner.session_ended(self)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: it can be released."""
        return self.driver.ended and not self.pending_tombstones and self.has_returned

    def release(self) -> None:
        """Drop internal references, so that it is freed without the cycle collector."""
        self.channel._leave_groups()
        del self.channel, self.driver.on_end
        self.driver.reception.receiver = None

    def stop(self) -> None:
        """Cancel the handler: its hub is stopping."""
        if self._task is not None:
            self.driver.draining = True  # so that the cancelled handler closes nothing
            self._task.cancel()

    async def drained(self, grace: float) -> None:
        """Wait for the handler, and cancel it after ``grace`` seconds."""
        if self._task is None or self._task.done():
            return
        await asyncio.wait([self._task], timeout=grace)
        if not self._task.done():
            log_cancelled(self.session.id, stops=True)
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_TIMEOUT)
