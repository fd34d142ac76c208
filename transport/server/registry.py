"""`Registry`: the sessions of this process: opened, found, swept, drained."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UNSET
from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    VERSION,
    Close,
    Data,
    EncodedFrame,
    Open,
    Poll,
    Renew,
    Reset,
    ResetReason,
    Send,
    TransportKind,
    Verdict,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import Counters, ServerSession
from transport.protocol.server.tombstone import Tombstone
from transport.server.adapters.deadlines import Deadlines
from transport.server.adapters.ports import Link
from transport.server.authentication import Authenticator, address_of
from transport.server.clock import Clock
from transport.server.driver import SessionDriver
from transport.server.link import SessionLink
from transport.server.origins import Admission, Authenticate, Identity
from transport.server.runner import Handler, Runner
from transport.stores.interface import Store
from transport.stores.records import Record, make_token, split_token
from transport.telemetry.log import DEBUG, INFO, WARNING, event

SWEEP = 0.25
"""Seconds between two sweeps: deadlines are exact to this."""


@dataclass(slots=True)
class Totals:
    """Messages of many sessions."""

    sent: int = 0
    received: int = 0
    replayed: int = 0

    def add(self, counters: Counters) -> None:
        """Count those of one more session."""
        self.sent += counters.sent
        self.received += counters.received
        self.replayed += counters.replayed

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
        authenticate: see `transport.server.origins.Authenticate`; None lets everybody in.
    """

    def __init__(
        self, handler: Handler, store: Store, limits: Limits, authenticate: Authenticate | None
    ) -> None:
        self.handler = handler
        self.store = store
        self.limits = limits
        self.admission = Admission(limits)
        self.draining = False
        self.opened = 0
        self.resets = 0
        self.refused = 0
        self.totals = Totals()
        """Of the sessions that are over."""
        self._decoder = Decoder(limits)
        self._runners: dict[str, Runner] = {}
        self._leaving: list[Runner] = []
        """Sessions that are over, and have connections that are not."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._clock = Clock()
        self.loop = self._clock.loop
        self.now = self._clock.now
        self._warned = False
        self.deadlines = Deadlines(self.now)
        self._authenticator = Authenticator(
            authenticate, limits, self.deadlines, self.admission, self.now
        )
        self._timer = self.loop.call_later(SWEEP, self._sweep)
        self._told: Callable[[], bool] | None = None

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
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> SessionLink | Close:
        """See `transport.server.adapters.ports.Entrance.open`."""
        try:
            return await self._open(frame, connection, transport)
        except ProtocolError as error:
            self.refused += 1
            event(INFO, "refused", transport=transport.value, code=error.code.name)
            raise

    async def _open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
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
        given = None if frame.credentials is UNSET else frame.credentials
        identity = await self._authenticator.identify(connection, given)
        found = await self._resume(frame, transport, identity)
        if isinstance(found, Reset):
            self.resets += 1
        if isinstance(found, Reset) or found is None:
            found = await self._new(frame, transport, identity, connection, found)
        if isinstance(found, Close):
            return found
        runner, attachment = found
        link = SessionLink(runner.driver, attachment, self._decoder, runner.renew)
        runner.connection = connection
        runner.admit(identity)
        self._attach(runner, link)
        return link

    def _attach(self, runner: Runner, link: SessionLink) -> None:
        runner.driver.attach(link)
        attachment = link.attachment
        event(
            DEBUG,
            "attached",
            channel=runner.session.id,
            transport=attachment.transport.value,
            verdict=attachment.verdict.value,
        )
        if self.draining:  # it began while the credentials were looked at
            runner.driver.drain(self.limits.drain_window)

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
        self._authenticator.dismiss(subject)
        return sum([runner.dismiss() for runner in self.runners if runner.subject == subject])

    async def _resume(
        self, frame: Open, transport: TransportKind, identity: Identity
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
        attachment = runner.session.attach(frame, transport, self.now(), epoch=self.store.epoch)
        if isinstance(attachment, Reset):
            runner.driver.poke()
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
        transport: TransportKind,
        identity: Identity,
        connection: HTTPConnection,
        reset: Reset | None,
    ) -> tuple[Runner, Attachment] | Close:
        """A new session, or the one that the same nonce made (OPN-4), or its ``close`` (CLS-5)."""
        now = self.now()
        address = address_of(connection)
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
            session = ServerSession(record.id, self.limits, now)
            driver = SessionDriver(session, self._clock)
            runner = Runner(driver, self, self._authenticator, identity.subject, address)
        elif (tombstone := self._tombstone(record)) is not None and tombstone.ending.close:
            return tombstone.ending.close
        if runner is None or runner.session.ending is not None:
            raise ProtocolError(codes.UNAVAILABLE, "that session has ended", retry_in=1.0)
        secret = secrets.token_urlsafe(24)
        attachment = runner.session.attach(
            frame,
            transport,
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
            event(INFO, "opened", channel=record.id, transport=transport.value)
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

    async def poll(self, frame: Poll) -> Link | None:
        """See `transport.server.adapters.ports.Entrance.poll`."""
        runner = await self._find(frame)
        attachment = runner.session.attachments.find(frame.client, frame.attach)
        link = runner.driver.find_link(attachment) if attachment is not None else None
        if attachment is None or link is None:
            raise ProtocolError(codes.NOT_ATTACHED, "this attach has ended: open another")
        if attachment.transport is not TransportKind.LONGPOLL:
            raise ProtocolError(codes.BAD_FRAME, "this attach is not a long poll")
        fresh = runner.session.poll(attachment, frame, self.now())
        runner.driver.poke()
        return link if fresh else None

    async def send(self, frames: list[Any]) -> list[EncodedFrame]:
        """See `transport.server.adapters.ports.Entrance.send`."""
        header, *rest = frames
        if isinstance(header, ProtocolError):
            raise header
        if not isinstance(header, Send):
            raise ProtocolError(codes.BAD_FRAME, "the first line is the send frame")
        runner = await self._find(header)
        session = runner.session
        attachment = session.attachments.find(header.client, header.attach)
        replies: list[EncodedFrame] = []
        data = False
        try:
            if attachment is not None:
                session.attachments.confirm(attachment)
            session.record_activity(attachment, self.now())
            for frame in rest:
                if isinstance(frame, ProtocolError):
                    raise frame
                if isinstance(frame, Renew):
                    # Renewal may take long: the frames before it are not to wait for it.
                    runner.driver.poke()
                    await self._renew(runner, attachment, frame)
                    # It may have ended meanwhile.
                    attachment = session.attachments.find(header.client, header.attach)
                    continue
                data = data or isinstance(frame, Data)
                answers = session.receive(attachment, frame, self.now())
                replies += [encode_control(answer) for answer in answers]
        finally:
            runner.driver.poke()
        if session.ending is not None and session.ending.reset is not None:
            raise _unknown()  # it ended with one of these frames, the rest was not taken
        if data:
            await runner.driver.handled_within(self.limits.answer_wait)
        if attachment is not None and attachment.code is not None:
            attachment = None
        return [encode_control(session.answer_post(attachment)), *replies]

    async def _renew(self, runner: Runner, attachment: Attachment | None, frame: Renew) -> None:
        """As on WebSocket: where it fails, the connection ends with it (REN-1)."""
        try:
            await runner.renew(frame.credentials)
        except ProtocolError as error:
            link = runner.driver.find_link(attachment) if attachment is not None else None
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
        self._clock.tick(SWEEP)
        self._timer = self.loop.call_later(SWEEP, self._sweep)
        if self._told is not None and self._told():
            self.begin_drain()
        self.admission.sweep(self.now())
        self.deadlines.sweep()
        for runner in (*self.runners, *self._leaving):
            runner.tick(self.now())
        self._leaving = [runner for runner in self._leaving if runner.driver.links]
        self._spawn(self.store.sweep(self.now()))

    def session_ended(self, runner: Runner) -> None:
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
            runner.let_go()
            self.totals.add(runner.session.counters())
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
            runner.driver.drain(self.limits.drain_window)

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


def _handler_scope(scope: Scope) -> Scope:
    """The scope as the handler sees it: without the last segment, which names the transport."""
    shown = {**scope, "path": scope["path"].rstrip("/").rpartition("/")[0] or "/"}
    if scope.get("raw_path"):
        shown["raw_path"] = scope["raw_path"].rstrip(b"/").rpartition(b"/")[0] or b"/"
    return shown
