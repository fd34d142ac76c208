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
from transport.server.admission import Admission
from transport.server.application import Application
from transport.server.authentication import Authenticator, Identity
from transport.server.credentials import SessionCredentials
from transport.server.driver import SessionDriver
from transport.server.link import SessionLink
from transport.server.memory import Memory, opening_cost
from transport.server.opening_request import OpeningRequest, read_request
from transport.server.registry import Registry
from transport.server.runner import Runner
from transport.stores.records import Record
from transport.stores.tokens import derive_secret, hash_secret, make_token
from transport.telemetry.log import DEBUG, INFO, log_event


class Opener:
    """Gives each ``open`` its session.

    Args:
        application: run for each new session.
        registry: the sessions of this process.
        limits: bounds and times.
        admission: counts sessions and openings.
        memory: the bound on what all sessions take.
        authenticator: authenticates the clients.
        key: the secret from which tokens are derived.

    Attributes:
        refused: how many opens were ever answered with an error.
    """

    def __init__(
        self,
        application: Application,
        registry: Registry,
        limits: Limits,
        admission: Admission,
        memory: Memory,
        authenticator: Authenticator,
        key: bytes,
    ) -> None:
        self.refused = 0
        self._application = application
        self._registry = registry
        self._limits = limits
        self._admission = admission
        self._memory = memory
        self._authenticator = authenticator
        self._key = key
        self._decoder = Decoder(limits)

    async def open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> SessionLink | FinalAnswer:
        """Attach a connection to a session; see `Entrance.open`."""
        try:
            return await self._open(frame, connection, transport)
        except ProtocolError as error:
            self.refused += 1
            log_event(INFO, "refused", transport=transport.value, code=error.code.name)
            raise

    async def _open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> SessionLink | FinalAnswer:
        check_supported(frame, has_inner=self._application.serve_target is not None)
        if self._registry.draining:
            raise ProtocolError(
                codes.UNAVAILABLE,
                "the server is shutting down",
                retry_in=self._limits.drain_window,
            )
        credentials = None if frame.credentials is UNSET else frame.credentials
        request = read_request(connection, self._limits)
        held = await self._registry.held_session(frame.session)
        self._authenticator.count(request.address, held)
        identity = await self._authenticator.check(connection, credentials)
        found = await self._find(frame, identity)
        epoch = self._registry.store.epoch
        reset: Reset | None = None
        decision = resume(frame, found, epoch=epoch)
        match decision:
            case Attach(session):
                attachment = attach(session, frame, transport, self._registry.now(), epoch=epoch)
                return self._link(self._runner(session), attachment, request, identity)
            case FinalAnswer() as answer:
                return answer
            case Refuse(error):
                raise error
            case Begin(reset):
                pass
            case Replace(session, reset):
                session.reset(reset.reason)
                self._runner(session).driver.notify()
            case _:
                assert_never(decision)
        if reset is not None and isinstance(decision, Begin):
            self._count_reset(reset, found)
        return await self._begin(frame, transport, identity, request, reset)

    def _count_reset(self, reset: Reset, found: Found | None) -> None:
        """Count a resume that is refused, unless the end of its session was counted before."""
        ended = found.ended if found is not None else None
        if ended is None or ended.ending.reset is not reset.reason:
            self._registry.resets[reset.reason.value] += 1

    async def _find(self, frame: Open, identity: Identity) -> Found | None:
        """Find the session that ``open`` names; None if its credential is not this user's."""
        if not isinstance(frame.session, str):
            return None
        registry = self._registry
        if isinstance(frame.epoch, str) and frame.epoch != registry.store.epoch:
            registry.warn_of_other_process(frame.epoch)
        record = await registry.find_record(frame.session, identity.subject)
        return self._registry.known(record) if record is not None else None

    async def _begin(
        self,
        frame: Open,
        transport: TransportKind,
        identity: Identity,
        request: OpeningRequest,
        reset: Reset | None,
    ) -> SessionLink | FinalAnswer:
        """Begin a session, or attach to the one that the same nonce began (OPN-4)."""
        registry = self._registry
        now = registry.now()
        subject, client, nonce = identity.subject, frame.client, frame.nonce
        session_id = secrets.token_urlsafe(9)
        secret = derive_secret(self._key, session_id, subject, client, nonce)
        fresh = Record(session_id, subject, hash_secret(secret))
        record = await registry.store.open(f"{client} {nonce}", fresh, now, self._limits.nonce)
        if record is not fresh:
            secret = derive_secret(self._key, record.id, subject, client, nonce)
        token = make_token(record.id, secret)
        decision = begin(registry.known(record))
        match decision:
            case Attach(session):
                runner = self._runner(session)
            case Create():
                runner = await self._create(record, request, now)
            case ShowEnd(ended):
                return final_answer(
                    record.id,
                    ended,
                    frame,
                    self._limits,
                    epoch=registry.store.epoch,
                    token=token,
                    reset=reset,
                )
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)
        attachment = attach(
            runner.session,
            frame,
            transport,
            now,
            epoch=registry.store.epoch,
            token=token,
            reset=reset,
        )
        if isinstance(decision, Create):
            record.begun = True
            registry.add(runner)
            log_event(INFO, "opened", channel=record.id, transport=transport.value)
            target = None if frame.target is UNSET else frame.target
            runner.start(self._application, request.scope, identity.user, now, target)
        return self._link(runner, attachment, request, identity)

    async def _create(self, record: Record, request: OpeningRequest, now: float) -> Runner:
        """Create the session of a record that the store has just taken."""
        cost = opening_cost(len(request.scope["headers"]), request.size)
        try:
            self._memory.check_room(cost)
            self._admission.count_session(record.subject, request.address, now)
        except ProtocolError:
            await self._registry.store.forget(record.id)
            raise
        session = ServerSession(record.id, self._limits, now)
        self._memory.add(cost)
        driver = SessionDriver(
            session, self._registry.clock, self._memory, self._application.encoder
        )
        credentials = SessionCredentials(
            record.subject,
            record.id,
            self._authenticator,
            self._limits.renewal,
            self._registry.now,
        )
        return Runner(driver, self._registry, credentials, request.address, cost)

    def _runner(self, session: ServerSession) -> Runner:
        runner = self._registry.get(session.id)
        assert runner is not None
        return runner

    def _link(
        self,
        runner: Runner,
        attachment: Attachment,
        request: OpeningRequest,
        identity: Identity,
    ) -> SessionLink:
        """Make the connection's link, and let its writer write ``opened``."""
        link = SessionLink(runner.driver, attachment, self._decoder, runner)
        runner.credentials.scope = request.scope
        runner.admit(identity)
        runner.driver.attach(link)
        log_event(
            DEBUG,
            "attached",
            channel=runner.session.id,
            transport=attachment.transport.value,
            verdict=attachment.verdict.value,
        )
        if self._registry.draining:  # the drain began while the credentials were checked
            runner.drain(self._limits.drain_window)
        return link
