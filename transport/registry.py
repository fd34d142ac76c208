"""`Registry`: the sessions of this process: opened, found, swept, drained."""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET
from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.log import DEBUG, ERROR, INFO, WARNING, event
from transport.policy import Admission, Authenticate, Identity
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    Carrier,
    Close,
    Data,
    Open,
    Poll,
    Renew,
    Reset,
    ResetReason,
    Send,
    Verdict,
    Wire,
)
from transport.protocol.records import Record, make_token, split_token
from transport.protocol.session import VERSION, Attachment, Session, Tombstone
from transport.runner import Handler, Runner
from transport.session_link import SessionLink
from transport.stores import Store
from transport.transports.deadlines import Deadlines

SWEEP = 0.25
"""Seconds between two sweeps: deadlines are exact to this."""

LATE = 1.0
"""A sweep that comes later than this was stopped with its process, and so were the clients' frames
in the kernel: its lateness is added to every deadline (LIV-3)."""


@dataclass(slots=True)
class Totals:
    """Messages of many sessions."""

    sent: int = 0
    received: int = 0
    replayed: int = 0

    def add(self, session: Session) -> None:
        """Count those of one more session."""
        self.sent += session.outgoing.last
        self.received += session.incoming.received
        self.replayed += session.replayed

    def copy(self) -> Totals:
        """The same numbers, to go on from."""
        return replace(self)


class Registry:
    """Opens sessions and finds them again; the adapters' `Entrance`.

    Bound to one event loop, from `start` to `stop`.

    Args:
        handler: called once for each session.
        store: where records are kept.
        limits: bounds and times.
        authenticate: see `transport.policy.Authenticate`; None lets everybody in.
    """

    def __init__(
        self, handler: Handler, store: Store, limits: Limits, authenticate: Authenticate | None
    ) -> None:
        self.handler = handler
        self.store = store
        self.limits = limits
        self.authenticate = authenticate
        self.admission = Admission(limits)
        self.draining = False
        self.opened = 0
        self.resets = 0
        self.refused = 0
        self.totals = Totals()
        """Of the sessions that are over."""
        self._asking: dict[object, set[str]] = {}
        """For each call of ``authenticate``, who was dismissed since it began."""
        self._decoder = Decoder(limits)
        self._runners: dict[str, Runner] = {}
        self._leaving: list[Runner] = []
        """Sessions that are over, and have connections that are not."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self._slip = 0.0
        self._swept = self.loop.time()
        self._warned = False
        self.deadlines = Deadlines(self.now)
        self._timer = self.loop.call_later(SWEEP, self._sweep)
        self._told: Callable[[], bool] | None = None

    def now(self) -> float:
        """Seconds of a clock that stands still while the process does."""
        return self.loop.time() - self._slip

    @property
    def runners(self) -> Iterator[Runner]:
        """The sessions that live in this process."""
        return iter(list(self._runners.values()))

    def get(self, session_id: str) -> Runner | None:
        """A session of this process by its public id."""
        return self._runners.get(session_id)

    def __len__(self) -> int:
        return len(self._runners)

    # Entrance: open

    async def open(
        self, frame: Open, connection: HTTPConnection, carrier: Carrier
    ) -> SessionLink | Close:
        """See `transport.transports.link.Entrance.open`."""
        try:
            return await self._open(frame, connection, carrier)
        except ProtocolError as error:
            self.refused += 1
            event(INFO, "refused", transport=carrier.value, code=error.code.name)
            raise

    async def _open(
        self, frame: Open, connection: HTTPConnection, carrier: Carrier
    ) -> SessionLink | Close:
        if VERSION not in frame.versions:
            raise ProtocolError(
                codes.UNSUPPORTED_VERSION,
                f"this server speaks version {VERSION}",
                versions=[VERSION],
            )
        if self.draining:
            raise ProtocolError(
                codes.UNAVAILABLE, "the server goes down", retry_in=self.limits.drain_window
            )
        self.admission.open(_address(connection), self.now())
        given = None if frame.credentials is UNSET else frame.credentials
        identity = await self._identify(connection, given)
        found = await self._resume(frame, carrier, identity)
        if isinstance(found, Reset):
            self.resets += 1
        if isinstance(found, Reset) or found is None:
            found = await self._new(frame, carrier, identity, connection, found)
        if isinstance(found, Close):
            return found
        runner, attachment = found
        link = SessionLink(runner, attachment, self._decoder)
        runner.connection = connection
        runner.admit(identity)
        self._attach(runner, link)
        return link

    def _attach(self, runner: Runner, link: SessionLink) -> None:
        runner.attach(link)
        attachment = link.attachment
        event(
            DEBUG,
            "attached",
            channel=runner.session.id,
            transport=attachment.carrier.value,
            verdict=attachment.verdict.value,
        )
        if self.draining:  # it began while the credentials were looked at
            runner.drain(self.limits.drain_window)

    async def identify_again(self, connection: HTTPConnection, credentials: Any) -> Identity:
        """Who shows new credentials on a connection that was let in (REN-1).

        Raises:
            ProtocolError: ``unauthorized``, ``unavailable`` or ``too_many``.
        """
        self.admission.open(_address(connection), self.now())  # it costs the same
        return await self._identify(connection, credentials)

    async def _identify(self, connection: HTTPConnection, credentials: Any) -> Identity:
        if self.authenticate is None:
            return Identity("")
        ticket = object()
        dismissed = self._asking[ticket] = set()
        try:
            identity = await self._ask(self.authenticate, connection, credentials)
        finally:
            del self._asking[ticket]
        if identity is None:
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials were refused")
        if identity.expires is not None and identity.expires <= time.time():
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials have expired")
        if identity.subject in dismissed:
            raise ProtocolError(codes.UNAUTHORIZED, "the user was dismissed")
        return identity

    async def _ask(
        self, authenticate: Authenticate, connection: HTTPConnection, credentials: Any
    ) -> Identity | None:
        """What the application says; where it fails the client comes again, and the log says why.

        Raises:
            ProtocolError: ``unavailable``.
        """
        time_box = self.deadlines.within(self.limits.opening)
        try:
            with time_box:
                answer: Any = authenticate(connection, credentials)
                if not inspect.isawaitable(answer):
                    raise TypeError("authenticate is not async: write `async def`")
                identity = await answer
                if identity is not None and not isinstance(identity, Identity):
                    kind = type(identity).__name__
                    raise TypeError(f"authenticate returned a {kind}: return an Identity, or None")
                return identity
        except Exception:  # noqa: BLE001 - all of it is in the log
            slow = f"it took longer than Limits(opening={self.limits.opening})"
            event(
                ERROR,
                "authenticate_failed",
                slow if time_box.expired else "mend it; the client is asked to come again",
                exc_info=True,
            )
            raise ProtocolError(
                codes.UNAVAILABLE, "the server could not check the credentials", retry_in=5.0
            ) from None

    def dismiss(self, subject: str) -> int:
        """End the sessions of a user (IDN-2), also one that is just being let in.

        Returns:
            How many there were.

        Raises:
            TypeError: the subject is no str, and so nobody's.
        """
        if not isinstance(subject, str):
            raise TypeError(
                f"a subject is a str, as in Identity(subject), not a {type(subject).__name__}"
            )
        for dismissed in self._asking.values():
            dismissed.add(subject)
        return sum([runner.dismiss() for runner in self.runners if runner.subject == subject])

    async def _resume(
        self, frame: Open, carrier: Carrier, identity: Identity
    ) -> tuple[Runner, Attachment] | Close | Reset | None:
        """What became of the session that ``open`` names; None where it names none."""
        if not isinstance(frame.session, str):
            return None
        unknown = ResetReason.UNKNOWN
        if isinstance(frame.epoch, str) and frame.epoch != self.store.epoch:
            unknown = ResetReason.RESTARTED
            self._warn_of_epochs(frame.epoch)
        nothing = Reset(reason=unknown, lost=None, handled=None, in_hand=None)
        parts = split_token(frame.session)
        record = await self.store.find(parts[0], self.now()) if parts else None
        if parts is None or record is None:
            return nothing
        if not record.opens_to(parts[1]) or record.subject != identity.subject:
            return nothing
        record.use(parts[1])
        tombstone = self._tombstone(record)
        if tombstone is not None:
            return tombstone.answer(frame)
        runner = self._runners.get(record.id)
        if runner is None:
            return nothing
        attachment = runner.session.attach(frame, carrier, self.now(), epoch=self.store.epoch)
        if isinstance(attachment, Reset):
            runner.poke()
            return attachment
        return runner, attachment

    def _tombstone(self, record: Record) -> Tombstone | None:
        """How a session ended, None while it lives."""
        runner = self._runners.get(record.id)
        if runner is not None and runner.session.ending is not None:
            return runner.session.tombstone()
        return record.tombstone

    async def _new(
        self,
        frame: Open,
        carrier: Carrier,
        identity: Identity,
        connection: HTTPConnection,
        reset: Reset | None,
    ) -> tuple[Runner, Attachment] | Close:
        """A new session, or the one that the same nonce made (OPN-4), or its ``close`` (CLS-5)."""
        now = self.now()
        address = _address(connection)
        fresh = Record(secrets.token_urlsafe(9), identity.subject)
        record = await self.store.open(
            f"{frame.client} {frame.nonce}", fresh, now, self.limits.nonce
        )
        runner = self._runners.get(record.id)
        # Who began this opening may have been cut off behind the store: it is then ours to finish.
        begins = runner is None and not record.hashes and record.tombstone is None
        if begins:
            try:
                self.admission.enter(identity.subject, address, now)
            except ProtocolError:
                await self.store.forget(record.id)
                raise
            session = Session(record.id, self.limits, now)
            runner = Runner(session, self, identity.subject, address)
        elif (tombstone := self._tombstone(record)) is not None and tombstone.ending.close:
            return tombstone.ending.close
        if runner is None or runner.session.ending is not None:
            raise ProtocolError(codes.UNAVAILABLE, "that session has ended", retry_in=1.0)
        secret = secrets.token_urlsafe(24)
        attachment = runner.session.attach(
            frame,
            carrier,
            now,
            epoch=self.store.epoch,
            verdict=Verdict.NEW if reset is None else Verdict.RESET,
            token=make_token(record.id, secret),
            reset=reset,
        )
        assert isinstance(attachment, Attachment)
        record.issue(secret)
        if begins:
            self._runners[record.id] = runner
            self.opened += 1
            event(INFO, "opened", channel=record.id, transport=carrier.value)
            runner.start(self.handler, _handler_scope(connection.scope), identity.user)
        return runner, attachment

    def _warn_of_epochs(self, epoch: str) -> None:
        # One that began before this process may have been its predecessor, whose clients come back
        # after a restart; one that began later runs beside it.
        if epoch > self.store.epoch and not self._warned and not self.store.shared:
            self._warned = True
            event(
                WARNING,
                "wrong_process",
                "a client came with a session of another process, which began after this one: "
                "run one worker, or a shared store",
            )

    # Entrance: poll and send

    async def poll(self, frame: Poll) -> SessionLink | None:
        """See `transport.transports.link.Entrance.poll`."""
        runner = await self._find(frame)
        attachment = runner.session.find(frame.client, frame.attach)
        link = runner.find_link(attachment) if attachment is not None else None
        if attachment is None or link is None:
            raise ProtocolError(codes.NOT_ATTACHED, "this attach has ended: open another")
        if attachment.carrier is not Carrier.LONGPOLL:
            raise ProtocolError(codes.BAD_FRAME, "this attach is not a long poll")
        fresh = runner.session.poll(attachment, frame, self.now())
        runner.poke()
        return link if fresh else None

    async def send(self, frames: list[Any]) -> list[Wire]:
        """See `transport.transports.link.Entrance.send`."""
        header, *rest = frames
        if isinstance(header, ProtocolError):
            raise header
        if not isinstance(header, Send):
            raise ProtocolError(codes.BAD_FRAME, "the first line is the send frame")
        runner = await self._find(header)
        session = runner.session
        attachment = session.find(header.client, header.attach)
        replies: list[Wire] = []
        data = False
        try:
            if attachment is not None:
                session.confirm(attachment)
            session.heard_from(attachment, self.now())
            for frame in rest:
                if isinstance(frame, ProtocolError):
                    raise frame
                if isinstance(frame, Renew):
                    runner.poke()  # it may take long: what stands before it waits for nothing
                    await self._renew(runner, attachment, frame)
                    attachment = session.find(header.client, header.attach)  # it may have ended
                    continue
                data = data or isinstance(frame, Data)
                answers = session.receive(attachment, frame, self.now())
                replies += [encode_control(answer) for answer in answers]
        finally:
            runner.poke()
        if session.ending is not None and session.ending.reset is not None:
            raise _unknown()  # it ended with one of these frames, the rest was not taken
        if data:
            await runner.handled_within(self.limits.answer_wait)
        if attachment is not None and attachment.code is not None:
            attachment = None
        return [encode_control(session.answer(attachment)), *replies]

    async def _renew(self, runner: Runner, attachment: Attachment | None, frame: Renew) -> None:
        """As on WebSocket: where it fails, the connection ends with it (REN-1)."""
        try:
            await runner.renew(frame.credentials)
        except ProtocolError as error:
            link = runner.find_link(attachment) if attachment is not None else None
            if link is not None:
                link.fail(error)
            raise

    async def _find(self, frame: Send | Poll) -> Runner:
        """The session that a POST names: unknown, expired and foreign answer alike (RES-9)."""
        parts = split_token(frame.session)
        record = await self.store.find(parts[0], self.now()) if parts else None
        if parts is not None and record is not None and record.opens_to(parts[1]):
            record.use(parts[1])
            runner = self._runners.get(record.id)
            if runner is not None and runner.session.ending is None:
                runner.check_credentials()
                return runner
        if isinstance(frame.epoch, str) and frame.epoch != self.store.epoch:
            self._warn_of_epochs(frame.epoch)
            raise ProtocolError(
                codes.WRONG_PROCESS, "this session is of another process, or of one that restarted"
            )
        raise _unknown()

    # Time and ends

    def _sweep(self) -> None:
        now = self.loop.time()
        late = now - self._swept - SWEEP
        if late > LATE:
            self._slip += late
        self._swept = now
        self._timer = self.loop.call_later(SWEEP, self._sweep)
        if self._told is not None and self._told():
            self.begin_drain()
        self.admission.sweep(self.now())
        self.deadlines.sweep()
        for runner in (*self.runners, *self._leaving):
            runner.tick(self.now())
        self._leaving = [runner for runner in self._leaving if runner.links]
        self._spawn(self.store.sweep(self.now()))

    def bury(self, runner: Runner) -> None:
        """A session has ended: keep its tombstone, and let go of the rest."""
        runner.burials += 1
        self._spawn(self._bury(runner))

    async def _bury(self, runner: Runner) -> None:
        session = runner.session
        until = self.now() + self.limits.tombstone
        try:
            await self.store.bury(session.id, session.tombstone(), until)
        finally:
            runner.burials -= 1
            self._collect(runner)

    def handler_ended(self, runner: Runner) -> None:
        """The handler's task is over."""
        self.loop.call_soon(self._collect, runner)

    def _collect(self, runner: Runner) -> None:
        if runner.finished:
            self._remove(runner)

    def _remove(self, runner: Runner) -> None:
        if self._runners.pop(runner.session.id, None) is not None:
            runner.leave_groups()
            runner.let_go()
            self.totals.add(runner.session)
            self.admission.leave(runner.subject, runner.address)
            self._leaving.append(runner)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in a task that is kept: the loop itself holds only weak references."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def watch_exit(self, told: Callable[[], bool] | None) -> None:
        """Drain when the server's own flag says that it was told to stop."""
        self._told = told

    def begin_drain(self) -> None:
        """Let nobody in, tell every client to come back, and let handlers end (DRN-1)."""
        if self.draining:
            return
        self.draining = True
        event(INFO, "draining", channels=len(self._runners))
        for runner in self.runners:
            runner.drain(self.limits.drain_window)

    async def drain(self) -> None:
        """`begin_drain`, and wait for the handlers, at most ``limits.drain_grace``."""
        self.begin_drain()
        if self._runners:
            await asyncio.gather(
                *(runner.drained(self.limits.drain_grace) for runner in self.runners)
            )

    def stop(self) -> None:
        """Let go of the event loop. A handler that still runs is cancelled."""
        self._timer.cancel()
        if not self.loop.is_closed():
            self.deadlines.stop()
            for runner in self.runners:
                runner.stop()


def _unknown() -> ProtocolError:
    """One answer for what is unknown, expired or another's (RES-9)."""
    return ProtocolError(codes.UNKNOWN_SESSION, "there is no such session: open it again")


def _address(connection: HTTPConnection) -> str:
    """The client's network address, as the server knows it."""
    client: tuple[str, int] | None = connection.scope.get("client")
    return client[0] if client is not None else ""


def _handler_scope(scope: Scope) -> Scope:
    """The scope as the handler sees it: without the last segment, which names the transport."""
    shown = {**scope, "path": scope["path"].rstrip("/").rpartition("/")[0] or "/"}
    if scope.get("raw_path"):
        shown["raw_path"] = scope["raw_path"].rstrip(b"/").rpartition(b"/")[0] or b"/"
    return shown
