"""Which session an ``open`` gets.

The decision is made in two steps, since the caller must ask a store between them:

1. `resume` looks at the session that the frame's credential names. The client is attached to it, or
   is told how it ended (CLS-5), or gets a new one (RES-1).
2. `begin` looks at the session that the same nonce began before, if any, so that an ``open`` that
   is repeated does not begin two (OPN-4).

Both return a decision and change nothing. The caller looks up what a credential and a nonce name,
and acts on the decision at once, with `attach` or `final_answer`: a decision is void as soon as the
session changes.

Pure: the caller passes the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from msgspec import UNSET

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import encode_control
from transport.protocol.frames import (
    VERSION,
    Close,
    Open,
    Opened,
    Reset,
    ResetReason,
    ServerControl,
    TransportKind,
    Verdict,
    reset_without_marks,
)
from transport.protocol.journal import is_epoch_of
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone
from transport.protocol.server.undecided import undecided_error


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
    def is_undecided(self) -> bool:
        """Whether the session has ended, and its store does not have that yet."""
        return self.session is not None and self.session.downlink.is_silent

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
class FinalAnswer:
    """Write these frames; then the connection ends, as its session has ended.

    Attributes:
        frames: how it ended; if the client has never read its ``opened``, that comes first.
        code: why the connection ends.
        close_code: the code with which a WebSocket is closed.
    """

    frames: tuple[ServerControl, ...]
    code: Code
    close_code: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Give the client another session: continue with `begin`.

    Attributes:
        reset: what to report about the session that it named, or None if it named none.
    """

    reset: Reset | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Reset the session, which its own client cannot resume, then do as for `Begin` (RES-5).

    If a store keeps it, its end is not shown yet (`ServerSession.end_shown`): then refuse the
    ``open`` with `undecided_error` instead. It comes again, and is told how the session has ended.
    """

    session: ServerSession
    reset: Reset


@dataclass(frozen=True, slots=True)
class Create:
    """Create the session, and attach the connection to it."""


@dataclass(frozen=True, slots=True)
class ShowEnd:
    """Tell the client that the session began, and how it ended, with `final_answer`."""

    ended: Tombstone


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the ``open``."""

    error: ProtocolError


Resumption: TypeAlias = Attach | FinalAnswer | Begin | Replace | Refuse
"""What `resume` decides."""

Beginning: TypeAlias = Attach | ShowEnd | Create | Refuse
"""What `begin` decides."""


def check_supported(frame: Open, *, has_inner: bool = False) -> None:
    """Check that the client asks for what this server has.

    Args:
        frame: the ``open``.
        has_inner: whether a WebSocket application is at the channel's URL (TGT-1).

    Raises:
        ProtocolError: ``unsupported_version`` (OPN-2), ``not_found`` (TGT-1).
    """
    if VERSION not in frame.versions:
        raise ProtocolError(
            codes.UNSUPPORTED_VERSION,
            f"this server speaks version {VERSION}",
            versions=[VERSION],
        )
    if frame.target is not UNSET and not has_inner:
        raise ProtocolError(
            codes.NOT_FOUND,
            "this hub serves channels only, no WebSocket application: open without `target`",
        )


def resume(frame: Open, found: Found | None, *, epoch: str) -> Resumption:
    """Decide what to do with the session that the credential of an ``open`` names.

    Args:
        frame: the ``open``.
        found: the session; None if it is unknown, or the credential is not valid for this user.
        epoch: the store's epoch; of a session that a store has kept, the session's.
    """
    if not isinstance(frame.session, str):
        return Begin()
    if found is not None and found.is_undecided:
        return Refuse(undecided_error())
    ended = found.ended if found is not None else None
    if ended is not None:
        answer = ended.answer(frame)
        if isinstance(answer, Close):
            return FinalAnswer((answer,), codes.NORMAL, answer.code)
        return Begin(answer)
    if found is None or found.session is None:
        return Begin(reset_without_marks(_why_unknown(frame, epoch)))
    session = found.session
    try:
        reset = session.attachments.refusal(frame, peer_closed=session.peer_close is not None)
    except ProtocolError as error:
        return Refuse(error)
    if (
        isinstance(frame.epoch, str)
        and frame.epoch != epoch
        and session.has_given_again(frame.epoch, frame.received)
    ):
        reset = reset_without_marks(ResetReason.STORE_LOST)
    if reset is None:
        return Attach(session)
    if frame.client == session.attachments.owner:
        return Replace(session, reset)
    return Begin(reset)


def begin(found: Found) -> Beginning:
    """Decide whether an ``open`` creates a session, by what its nonce names (OPN-4).

    If the session never began, its ``open`` was cancelled: create it now. If it has ended, the
    client has never read its ``opened``, and must not take its end for that of another session.
    """
    if found.session is None and found.tombstone is None and not found.begun:
        return Create()
    if found.is_undecided:
        return Refuse(undecided_error())
    if found.ended is not None:
        return ShowEnd(found.ended)
    if found.session is None:
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
    opened = _opened(
        session.id,
        frame,
        session.limits,
        verdict,
        received=session.incoming.received,
        handled=session.incoming.shown,
        sent=session.outgoing.shown,
        epoch=epoch,
        token=token,
        reset=reset,
    )
    attachment.control.append(encode_control(opened))
    session.record_activity(attachment, now)
    return attachment


def final_answer(
    session_id: str,
    ended: Tombstone,
    frame: Open,
    limits: Limits,
    *,
    epoch: str,
    token: str,
    reset: Reset | None = None,
) -> FinalAnswer:
    """Return the answer to a repeated ``open`` whose session has ended meanwhile (OPN-4).

    Args:
        session_id: the public id of the session.
        ended: how it ended.
        frame: the ``open``.
        limits: those of the server.
        epoch: the store's epoch.
        token: the credential of the session.
        reset: the fate of the session that the client had before.
    """
    opened = _opened(
        session_id,
        frame,
        limits,
        Verdict.NEW if reset is None else Verdict.RESET,
        received=ended.received,
        handled=ended.handled,
        sent=ended.last,
        epoch=epoch,
        token=token,
        reset=reset,
    )
    close = ended.ending.close
    if close is not None:
        return FinalAnswer((opened, close), codes.NORMAL, close.code)
    return FinalAnswer((opened, ended.reset_for(0)), codes.RESET, codes.RESET.close_code)


def _opened(
    session_id: str,
    frame: Open,
    limits: Limits,
    verdict: Verdict,
    *,
    received: int,
    handled: int,
    sent: int,
    epoch: str,
    token: str | None,
    reset: Reset | None,
) -> Opened:
    return Opened(
        version=VERSION,
        id=session_id,
        attach=frame.attach,
        client=frame.client,
        verdict=verdict,
        received=received,
        handled=handled,
        sent=sent,
        epoch=epoch,
        limits=limits.advertised_limits(),
        timings=limits.advertised_timings(),
        session=token if token is not None else UNSET,
        reset=reset.bare() if reset is not None else UNSET,
    )


def _why_unknown(frame: Open, epoch: str) -> ResetReason:
    if isinstance(frame.epoch, str) and not is_epoch_of(frame.epoch, epoch):
        return ResetReason.RESTARTED
    return ResetReason.UNKNOWN
