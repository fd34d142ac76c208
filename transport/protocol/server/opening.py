"""Which session an ``open`` gets.

The decision is made in two steps, since the caller must ask a store between them:

1. `resume` looks at the session that the frame's credential names. The client is attached to it, or
   is told how it ended (CLS-5), or gets a new one (RES-1).
2. `begin` looks at the session that the same nonce began before, if any, so that an ``open`` that
   is repeated does not begin two (OPN-4).

Both return a decision and change nothing. The caller looks up what a credential and a nonce name,
and acts on the decision at once, with `attach`: a decision is void as soon as the session changes.

Pure: the caller passes the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from msgspec import UNSET

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.codec import encode_control
from transport.protocol.frames import (
    VERSION,
    Close,
    Open,
    Opened,
    Reset,
    ResetReason,
    TransportKind,
    Verdict,
    reset_without_marks,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone


@dataclass(frozen=True, slots=True)
class Found:
    """A session that a valid credential or a nonce names.

    Attributes:
        session: the session, if this process has it.
        tombstone: how it ended, if the store has that.
        begun: whether it ever began.
    """

    session: ServerSession | None = None
    tombstone: Tombstone | None = None
    begun: bool = True

    @property
    def ended(self) -> Tombstone | None:
        """How the session ended; None if it has not, or if that is unknown."""
        if self.session is not None and self.session.ending is not None:
            return self.session.tombstone()
        return self.tombstone


@dataclass(frozen=True, slots=True)
class Attach:
    """Attach the connection to this session."""

    session: ServerSession


@dataclass(frozen=True, slots=True)
class SendClose:
    """Answer with the ``close`` of a session that was closed (CLS-5)."""

    close: Close


@dataclass(frozen=True, slots=True)
class Begin:
    """Give the client another session: continue with `begin`.

    Attributes:
        reset: what to report about the session that it named, or None if it named none.
    """

    reset: Reset | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Reset the session, which its own client cannot resume, then do as for `Begin` (RES-5)."""

    session: ServerSession
    reset: Reset


@dataclass(frozen=True, slots=True)
class Create:
    """Create the session, and attach the connection to it."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the ``open``."""

    error: ProtocolError


Resumption: TypeAlias = Attach | SendClose | Begin | Replace | Refuse
"""What `resume` decides."""

Beginning: TypeAlias = Attach | SendClose | Create | Refuse
"""What `begin` decides."""


def check_version(frame: Open) -> None:
    """Check that the client speaks our version (OPN-2).

    Raises:
        ProtocolError: ``unsupported_version``.
    """
    if VERSION not in frame.versions:
        raise ProtocolError(
            codes.UNSUPPORTED_VERSION,
            f"this server speaks version {VERSION}",
            versions=[VERSION],
        )


def resume(frame: Open, found: Found | None, *, epoch: str) -> Resumption:
    """Decide what to do with the session that the credential of an ``open`` names.

    Args:
        frame: the ``open``.
        found: the session; None if it is unknown, or the credential is not valid for this user.
        epoch: the store's epoch.
    """
    if not isinstance(frame.session, str):
        return Begin()
    ended = found.ended if found is not None else None
    if ended is not None:
        answer = ended.answer(frame)
        return SendClose(answer) if isinstance(answer, Close) else Begin(answer)
    if found is None or found.session is None:
        return Begin(reset_without_marks(_why_unknown(frame, epoch)))
    session = found.session
    try:
        reset = session.attachments.refusal(frame, peer_closed=session.peer_close is not None)
    except ProtocolError as error:
        return Refuse(error)
    if reset is None:
        return Attach(session)
    if frame.client == session.attachments.owner:
        return Replace(session, reset)
    return Begin(reset)


def begin(found: Found) -> Beginning:
    """Decide whether an ``open`` creates a session, by what its nonce names (OPN-4).

    If the session never began, its ``open`` was cancelled: create it now.
    """
    if found.session is None and found.tombstone is None and not found.begun:
        return Create()
    ended = found.ended
    if ended is not None and ended.ending.close is not None:
        return SendClose(ended.ending.close)
    if ended is not None or found.session is None:
        return Refuse(ProtocolError(codes.UNAVAILABLE, "that session has ended", retry_in=1.0))
    return Attach(found.session)


def attach(
    session: ServerSession,
    frame: Open,
    transport: TransportKind,
    now: float,
    *,
    epoch: str,
    token: str | None = None,
    reset: Reset | None = None,
) -> Attachment:
    """Attach the connection of an ``open``, with ``opened`` as its first frame (OPN-6).

    Args:
        session: the session that the decision names.
        frame: the ``open``.
        transport: the transport that received it.
        now: seconds.
        epoch: the store's epoch.
        token: the credential to issue, after `begin`; None after `resume`.
        reset: with a token, the fate of the session that the client had before.

    Raises:
        ProtocolError: ``superseded`` (ATT-4).
    """
    verdict = Verdict.RESUMED
    if token is not None:
        verdict = Verdict.NEW if reset is None else Verdict.RESET
    attachment = session.attachments.attach(frame, transport, now, verdict)
    opened = Opened(
        version=VERSION,
        id=session.id,
        attach=frame.attach,
        client=frame.client,
        verdict=verdict,
        received=session.incoming.received,
        handled=session.incoming.handled,
        sent=session.outgoing.last,
        epoch=epoch,
        limits=session.limits.advertised_limits(),
        timings=session.limits.advertised_timings(),
        session=token if token is not None else UNSET,
        reset=reset.bare() if reset is not None else UNSET,
    )
    attachment.control.append(encode_control(opened))
    session.record_activity(attachment, now)
    return attachment


def _why_unknown(frame: Open, epoch: str) -> ResetReason:
    if isinstance(frame.epoch, str) and frame.epoch != epoch:
        return ResetReason.RESTARTED
    return ResetReason.UNKNOWN
