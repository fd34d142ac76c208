"""`Opener`: answers an ``open``: admits, authenticates, and resumes or begins a session.

Which session an ``open`` gets is decided by `transport.protocol.server.opening`; this looks up what
the decision needs, and acts on it.

The order matters. Nothing is created before the credentials were accepted, and a session is known
to the store before it is attached to. An ``open`` that is cancelled once the store has recorded it
leaves a record that has not begun; the next ``open`` with the same nonce completes it (OPN-4).
"""

from __future__ import annotations

import secrets
from typing import assert_never

from msgspec import UNSET
from starlette.requests import HTTPConnection

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import Open, Reset, TransportKind
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import (
    Attach,
    Begin,
    Create,
    FinalAnswer,
    Found,
    Refuse,
    Replace,
    ShowEnd,
    attach,
    begin,
    check_supported,
    final_answer,
    resume,
)
from transport.protocol.server.session import ServerSession
from transport.protocol.server.undecided import undecided_error
from transport.server.adapters.ports import Link
from transport.server.authentication import Authenticator, dismissed_error
from transport.server.elsewhere import NewSession, OpeningElsewhere, Visitor
from transport.server.link import SessionLink
from transport.server.opening_request import read_request
from transport.server.registry import Registry
from transport.server.renewals import RelayedRenewer
from transport.server.runner import Runner
from transport.server.sessions import Sessions
from transport.stores.records import Record
from transport.stores.tokens import derive_secret, hash_secret, make_token, read_token
from transport.telemetry.log import DEBUG, INFO, log_event


class Opener:
    """Gives each ``open`` its session.

    Args:
        has_inner: whether a WebSocket application is at the channel's URL (TGT-1).
        registry: the sessions of this process.
        limits: bounds and times.
        sessions: makes those that begin.
        authenticator: authenticates the clients.
        key: the secret from which tokens are derived, unless the processes share one.
        elsewhere: the other processes, if the hub has several.

    Attributes:
        refused: how many opens were ever answered with an error.
    """

    def __init__(
        self,
        has_inner: bool,
        registry: Registry,
        limits: Limits,
        sessions: Sessions,
        authenticator: Authenticator,
        key: bytes,
        elsewhere: OpeningElsewhere | None = None,
    ) -> None:
        self.refused = 0
        self._has_inner = has_inner
        self._registry = registry
        self._limits = limits
        self._sessions = sessions
        self._authenticator = authenticator
        self._key = key
        self._elsewhere = elsewhere
        self._decoder = Decoder(limits)
        self._admitted: dict[Visitor, bool] = {}
        """Those whose session is being found or begun, and whether they were dismissed since."""

    def dismiss(self, subject: str) -> None:
        """Begin no session for this user in the openings that are in progress (IDN-2)."""
        for visitor in self._admitted:
            if visitor.identity.subject == subject:
                self._admitted[visitor] = True

    async def open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> Link | FinalAnswer:
        """Attach a connection to a session; see `Entrance.open`."""
        try:
            return await self._open(frame, connection, transport)
        except ProtocolError as error:
            self.refused += 1
            log_event(INFO, "refused", transport=transport.value, code=error.code.name)
            raise

    async def _open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> Link | FinalAnswer:
        visitor = await self._admit(frame, connection)
        self._admitted[visitor] = False
        try:
            return await self._attach(frame, visitor, transport)
        finally:
            del self._admitted[visitor]

    async def _attach(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> Link | FinalAnswer:
        """Find the session of a visitor, wherever it is, or begin one."""
        elsewhere = self._elsewhere
        resumed: Link | FinalAnswer | Begin | None = None
        if elsewhere is not None and visitor.credential is not None:
            resumed = await elsewhere.resume(frame, visitor, transport)
        if resumed is None:
            resumed = await self.resume(frame, visitor, transport)
        if not isinstance(resumed, Begin):
            return resumed
        if elsewhere is None:
            new = NewSession(secrets.token_urlsafe(9))
        else:
            begun = await elsewhere.begin(frame, visitor, transport, resumed.reset)
            if not isinstance(begun, NewSession):
                return begun
            new = begun
        return await self._begin(frame, visitor, transport, new, resumed.reset)

    async def _admit(self, frame: Open, connection: HTTPConnection) -> Visitor:
        """Check that an ``open`` can be served now, and who sent it."""
        check_supported(frame, has_inner=self._has_inner)
        if self._registry.draining:
            raise self._stopping()
        credentials = None if frame.credentials is UNSET else frame.credentials
        request = read_request(connection, self._limits)
        credential = read_token(frame.session) if isinstance(frame.session, str) else None
        held = await self._registry.held_session(credential)
        if not held and credential is not None and self._elsewhere is not None:
            held = await self._elsewhere.held_session(credential)
        self._authenticator.count(request.address, held)
        identity = await self._authenticator.check(connection, credentials)
        return Visitor(identity, credential, request)

    def _stopping(self) -> ProtocolError:
        return ProtocolError(
            codes.UNAVAILABLE,
            "the server is shutting down",
            retry_in=self._registry.return_window,
        )

    async def resume(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> SessionLink | FinalAnswer | Begin:
        """Attach to the session of this process that an ``open`` names, if it can be resumed.

        Returns:
            `Begin` if it cannot, or none is named.

        Raises:
            ProtocolError: refused.
        """
        found = await self._find(frame, visitor)
        epoch = self._registry.epoch
        session = found.session if found is not None else None
        journal = self._runner(session).driver.journal if session is not None else None
        if journal is not None:
            epoch = journal.epoch
        decision = resume(frame, found, epoch=epoch)
        match decision:
            case Attach(session):
                if journal is not None:
                    self._registry.check_held(self._runner(session))
                attachment = attach(session, frame, transport, self._registry.now(), epoch=epoch)
                return self._link(self._runner(session), attachment, visitor)
            case FinalAnswer():
                return decision
            case Refuse(error):
                raise error
            case Begin(reset):
                if reset is not None:
                    self._count_reset(reset, found)
                return decision
            case Replace(session, reset):
                session.reset(reset.reason)
                self._runner(session).driver.notify()
                if not session.end_shown:
                    raise undecided_error()
                return Begin(reset)
            case _:
                assert_never(decision)

    def _count_reset(self, reset: Reset, found: Found | None) -> None:
        """Count a resume that is refused, unless the end of its session was counted before."""
        ended = found.ended if found is not None else None
        if ended is None or ended.ending.reset is not reset.reason:
            self._registry.resets[reset.reason.value] += 1

    async def _find(self, frame: Open, visitor: Visitor) -> Found | None:
        """Find the session that ``open`` names; None if its credential is not this user's."""
        if visitor.credential is None:
            return None
        registry = self._registry
        if isinstance(frame.epoch, str) and frame.epoch != registry.epoch:
            registry.warn_of_other_process(frame.epoch)
        record = await registry.find_record(visitor.credential, visitor.identity.subject)
        return self._registry.known(record) if record is not None else None

    async def _begin(
        self,
        frame: Open,
        visitor: Visitor,
        transport: TransportKind,
        new: NewSession,
        reset: Reset | None,
    ) -> SessionLink | FinalAnswer:
        """Begin a session, or attach to the one that the same nonce began (OPN-4)."""
        registry = self._registry
        if registry.draining and registry.is_relayed:  # nobody would end the session
            raise self._stopping()
        now = registry.now()
        subject, client, nonce = visitor.identity.subject, frame.client, frame.nonce
        request = visitor.request
        assert request is not None
        key = self._key if new.key is None else new.key
        secret = derive_secret(key, new.id, subject, client, nonce)
        fresh = Record(new.id, subject, hash_secret(secret))
        # A store that processes share has found the session of the nonce already.
        known = f"{client} {nonce}" if registry.journals is None else f"begun {new.id}"
        record = await registry.store.open(known, fresh, now, self._limits.nonce)
        if record is not fresh:
            secret = derive_secret(key, record.id, subject, client, nonce)
        token = make_token(record.id, secret)
        attached = self._attach_begun(record, frame, visitor, transport, token, reset)
        if attached is not None:
            return attached
        try:
            if self._admitted[visitor]:
                raise dismissed_error()
            runner = self._sessions.create(record, request, now, new.image)
        except ProtocolError:
            await registry.store.forget(record.id)
            if new.image is not None:
                registry.give_up(record.id, new.image)
            raise
        record.begun = True
        registry.add(runner)
        log_event(INFO, "opened", channel=record.id, transport=transport.value)
        target = None if frame.target is UNSET else frame.target
        application = self._sessions.application
        runner.start(application, request.scope, visitor.identity.user, now, target)
        if new.image is not None:
            self._sessions.on_begun(runner, new.image)
            registry.begun(runner)
        # If that is refused, because the store may have given the session away, it comes again.
        attachment = self._attach_new(runner, frame, transport, token, reset)
        return self._link(runner, attachment, visitor)

    async def attach_begun(
        self, frame: Open, visitor: Visitor, transport: TransportKind, reset: Reset | None
    ) -> SessionLink | FinalAnswer | None:
        """Attach to a session here that the nonce of an ``open`` elsewhere has begun (OPN-4).

        In ``opened`` the id stands for the token: the other process knows the nonce, and so makes
        the token.

        Returns:
            None if this process has no such session.
        """
        record = await self._registry.find_record(visitor.credential, visitor.identity.subject)
        if record is None:
            return None
        return self._attach_begun(record, frame, visitor, transport, record.id, reset)

    def _attach_begun(
        self,
        record: Record,
        frame: Open,
        visitor: Visitor,
        transport: TransportKind,
        token: str,
        reset: Reset | None,
    ) -> SessionLink | FinalAnswer | None:
        """Attach to the session of a record, or tell how it ended; None if it has not begun."""
        registry = self._registry
        decision = begin(registry.known(record))
        match decision:
            case Attach(session):
                runner = self._runner(session)
                attachment = self._attach_new(runner, frame, transport, token, reset)
                return self._link(runner, attachment, visitor)
            case Create():
                return None
            case ShowEnd(ended):
                return final_answer(
                    record.id,
                    ended,
                    frame,
                    self._limits,
                    epoch=registry.epoch,
                    token=token,
                    reset=reset,
                )
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)

    def _attach_new(
        self,
        runner: Runner,
        frame: Open,
        transport: TransportKind,
        token: str,
        reset: Reset | None,
    ) -> Attachment:
        registry, journal = self._registry, runner.driver.journal
        if journal is not None:
            registry.check_held(runner)
        return attach(
            runner.session,
            frame,
            transport,
            registry.now(),
            epoch=registry.epoch if journal is None else journal.epoch,
            token=token,
            reset=reset,
        )

    def _runner(self, session: ServerSession) -> Runner:
        runner = self._registry.get(session.id)
        assert runner is not None
        return runner

    def _link(self, runner: Runner, attachment: Attachment, visitor: Visitor) -> SessionLink:
        """Make the connection's link, and let its writer write ``opened``."""
        renewer = runner if visitor.request is not None else RelayedRenewer()
        link = SessionLink(runner.driver, attachment, self._decoder, renewer)
        if visitor.request is not None:
            runner.credentials.scope = visitor.request.scope
            runner.admit(visitor.identity)
        else:  # `channel.user` stays the one of this process
            runner.credentials.accept(visitor.identity)
        runner.driver.attach(link)
        log_event(
            DEBUG,
            "attached",
            channel=runner.session.id,
            transport=attachment.transport.value,
            verdict=attachment.verdict.value,
        )
        if self._registry.draining and not self._registry.is_relayed:
            # The drain began while the credentials were checked.
            runner.drain(self._limits.drain_window)
        return link
