"""`Opener`: answers an ``open``: admits, authenticates, and resumes or begins a session.

The order matters. Nothing is created before the credentials were accepted, and a session is known
to the store before it is attached to. An opening that was cancelled after the store's step has a
record without a token; the next ``open`` with its nonce finishes it (OPN-4).
"""

from __future__ import annotations

import secrets

from msgspec import UNSET
from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import (
    VERSION,
    Close,
    Open,
    Reset,
    ResetReason,
    TransportKind,
    Verdict,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone
from transport.server.admission import Admission
from transport.server.authentication import Authenticator, Identity, address_of
from transport.server.credentials import Credentials
from transport.server.driver import SessionDriver
from transport.server.link import SessionLink
from transport.server.registry import Registry
from transport.server.runner import Handler, Runner
from transport.stores.records import Record, make_token, split_token
from transport.telemetry.log import DEBUG, INFO, event


class Opener:
    """Gives each ``open`` its session.

    Args:
        handler: called once for each new session.
        registry: the sessions of this process.
        limits: bounds and times.
        admission: counts sessions and openings.
        authenticator: finds out who connects.

    Attributes:
        resets: resumes that were refused, ever.
        refused: opens that were answered with an error, ever.
    """

    def __init__(
        self,
        handler: Handler,
        registry: Registry,
        limits: Limits,
        admission: Admission,
        authenticator: Authenticator,
    ) -> None:
        self.resets = 0
        self.refused = 0
        self._handler = handler
        self._registry = registry
        self._limits = limits
        self._admission = admission
        self._authenticator = authenticator
        self._decoder = Decoder(limits)

    async def open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> SessionLink | Close:
        """Attach a connection to a session; see `Entrance.open`."""
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
        if self._registry.draining:
            raise ProtocolError(
                codes.UNAVAILABLE,
                "the server is shutting down",
                retry_in=self._limits.drain_window,
            )
        given = None if frame.credentials is UNSET else frame.credentials
        identity = await self._authenticator.identify(connection, given)
        found = await self._resume(frame, transport, identity)
        if isinstance(found, Reset):
            self.resets += 1
        if isinstance(found, Reset) or found is None:
            found = await self._begin(frame, transport, identity, connection, found)
        if isinstance(found, Close):
            return found
        runner, attachment = found
        link = SessionLink(runner.driver, attachment, self._decoder, runner.renew)
        runner.credentials.connection = connection
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
        if self._registry.draining:  # the drain began while the credentials were checked
            runner.driver.drain(self._limits.drain_window)

    async def _resume(
        self, frame: Open, transport: TransportKind, identity: Identity
    ) -> tuple[Runner, Attachment] | Close | Reset | None:
        """Attach to the session that ``open`` names; return None if it names none."""
        if not isinstance(frame.session, str):
            return None
        registry = self._registry
        unknown = ResetReason.UNKNOWN
        if isinstance(frame.epoch, str) and frame.epoch != registry.store.epoch:
            unknown = ResetReason.RESTARTED
            registry.warn_of_other_process(frame.epoch)
        nothing = Reset(reason=unknown, lost=None, handled=None, in_hand=None)
        parts = split_token(frame.session)
        record = await registry.store.find(parts[0], registry.now()) if parts else None
        if parts is None or record is None:
            return nothing
        if not record.opens_to(parts[1]) or record.subject != identity.subject:
            return nothing
        record.use(parts[1])
        tombstone = self._tombstone(record)
        if tombstone is not None:
            return tombstone.answer(frame)
        runner = registry.get(record.id)
        if runner is None:
            return nothing
        attachment = runner.session.attach(
            frame, transport, registry.now(), epoch=registry.store.epoch
        )
        if isinstance(attachment, Reset):
            runner.driver.notify()
            return attachment
        return runner, attachment

    def _tombstone(self, record: Record) -> Tombstone | None:
        """Return how a session ended, or None while it lives."""
        runner = self._registry.get(record.id)
        if runner is not None and runner.session.ending is not None:
            return runner.session.tombstone()
        return record.tombstone

    async def _begin(
        self,
        frame: Open,
        transport: TransportKind,
        identity: Identity,
        connection: HTTPConnection,
        reset: Reset | None,
    ) -> tuple[Runner, Attachment] | Close:
        """Begin a session, or find the one that the same nonce began (OPN-4, CLS-5)."""
        registry = self._registry
        now = registry.now()
        address = address_of(connection)
        fresh = Record(secrets.token_urlsafe(9), identity.subject)
        record = await registry.store.open(
            f"{frame.client} {frame.nonce}", fresh, now, self._limits.nonce
        )
        runner = registry.get(record.id)
        # A previous attempt may have been cancelled after the store's step; it is finished here.
        begins = runner is None and not record.hashes and record.tombstone is None
        if begins:
            try:
                self._admission.count_session(identity.subject, address, now)
            except ProtocolError:
                await registry.store.forget(record.id)
                raise
            session = ServerSession(record.id, self._limits, now)
            driver = SessionDriver(session, registry.clock)
            credentials = Credentials(
                identity.subject, self._authenticator, self._limits.renewal, registry.now
            )
            runner = Runner(driver, registry, credentials, address)
        elif (tombstone := self._tombstone(record)) is not None and tombstone.ending.close:
            return tombstone.ending.close
        if runner is None or runner.session.ending is not None:
            raise ProtocolError(codes.UNAVAILABLE, "that session has ended", retry_in=1.0)
        secret = secrets.token_urlsafe(24)
        attachment = runner.session.attach(
            frame,
            transport,
            now,
            epoch=registry.store.epoch,
            verdict=Verdict.NEW if reset is None else Verdict.RESET,
            token=make_token(record.id, secret),
            reset=reset,
        )
        assert isinstance(attachment, Attachment)
        record.issue(secret)
        if begins:
            registry.add(runner)
            event(INFO, "opened", channel=record.id, transport=transport.value)
            runner.start(self._handler, _handler_scope(connection.scope), identity.user)
        return runner, attachment


def _handler_scope(scope: Scope) -> Scope:
    """Return the scope as the handler sees it: without the last segment, the transport's name."""
    shown = {**scope, "path": scope["path"].rstrip("/").rpartition("/")[0] or "/"}
    if scope.get("raw_path"):
        shown["raw_path"] = scope["raw_path"].rstrip(b"/").rpartition(b"/")[0] or b"/"
    return shown
