"""The states of a session, of a connection's attachment, of a client's attach and of its channel.

Each is one table. A step that the table does not have raises and changes nothing. A session:

    OPEN ---peer closes---> PEER_CLOSED ---we close---> CLOSING ---all acknowledged---> CLOSED
      \\------------------------we close---------------->/
    OPEN, PEER_CLOSED ---expires, is reset---> CLOSED <---is reset, takes too long--- CLOSING

Connections come and go in each of these states: a session and its connections have separate lives.
An attachment, as the server holds it:

    PROVISIONAL ---its client confirms---> CONFIRMED
        \\---ends, is lost---> ENDED <---ends, is lost---/
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from transport.errors import LocalProtocolError

S = TypeVar("S", bound=Enum)
T = TypeVar("T", bound=Enum)


class SessionState(Enum):
    """The state of a session, as the server holds it."""

    OPEN = "open"
    """Both sides may send."""
    PEER_CLOSED = "peer_closed"
    """The peer sends no more; what it sent is still delivered, and we may still send."""
    CLOSING = "closing"
    """We send no more; what we sent is still delivered."""
    CLOSED = "closed"
    """The session has ended. Its tombstone answers."""


class SessionStep(Enum):
    """An event that changes the state of a session."""

    LOCAL_CLOSE = "local_close"
    PEER_CLOSE = "peer_close"
    ALL_ACKNOWLEDGED = "all_acknowledged"
    EXPIRE = "expire"
    RESET = "reset"
    GIVE_UP = "give_up"


SESSION_TRANSITIONS: dict[tuple[SessionState, SessionStep], SessionState] = {
    (SessionState.OPEN, SessionStep.LOCAL_CLOSE): SessionState.CLOSING,
    (SessionState.OPEN, SessionStep.PEER_CLOSE): SessionState.PEER_CLOSED,
    (SessionState.OPEN, SessionStep.EXPIRE): SessionState.CLOSED,
    (SessionState.OPEN, SessionStep.RESET): SessionState.CLOSED,
    # A close that is resent after a resume.
    (SessionState.PEER_CLOSED, SessionStep.PEER_CLOSE): SessionState.PEER_CLOSED,
    (SessionState.PEER_CLOSED, SessionStep.LOCAL_CLOSE): SessionState.CLOSING,
    (SessionState.PEER_CLOSED, SessionStep.EXPIRE): SessionState.CLOSED,
    (SessionState.PEER_CLOSED, SessionStep.RESET): SessionState.CLOSED,
    # The peer's answer to our close, or its own close at the same time.
    (SessionState.CLOSING, SessionStep.PEER_CLOSE): SessionState.CLOSING,
    (SessionState.CLOSING, SessionStep.ALL_ACKNOWLEDGED): SessionState.CLOSED,
    (SessionState.CLOSING, SessionStep.RESET): SessionState.CLOSED,
    (SessionState.CLOSING, SessionStep.GIVE_UP): SessionState.CLOSED,
}


def advance(state: SessionState, step: SessionStep) -> SessionState:
    """Return the state of a session after ``step``.

    Raises:
        LocalProtocolError: the table has no such transition.
    """
    return transition(SESSION_TRANSITIONS, state, step, "session")


def transition(table: Mapping[tuple[S, T], S], state: S, step: T, what: str) -> S:
    """Return the state after ``step``; ``what`` names whose state it is, for the error.

    Raises:
        LocalProtocolError: the table has no such transition.
    """
    try:
        return table[state, step]
    except KeyError:
        raise LocalProtocolError(
            f"{step.value!r} is not allowed for a {what} in state {state.value!r}"
        ) from None


class AttachmentState(Enum):
    """The state of a connection's attachment, as the server holds it (ATT-2, ATT-3)."""

    PROVISIONAL = "provisional"
    """It was opened; its client may still choose another."""
    CONFIRMED = "confirmed"
    """Its client has chosen it: it has the session."""
    ENDED = "ended"
    """Its last frames may still be written; frames that arrive on it are ignored."""


class AttachmentStep(Enum):
    """An event that changes the state of a server's attachment."""

    CONFIRM = "confirm"
    END = "end"


ATTACHMENT_TRANSITIONS: dict[tuple[AttachmentState, AttachmentStep], AttachmentState] = {
    (AttachmentState.PROVISIONAL, AttachmentStep.CONFIRM): AttachmentState.CONFIRMED,
    (AttachmentState.PROVISIONAL, AttachmentStep.END): AttachmentState.ENDED,
    (AttachmentState.CONFIRMED, AttachmentStep.END): AttachmentState.ENDED,
}


class AttachState(Enum):
    """The progress of a client's attach (ATT-2, ATT-3)."""

    FRESH = "fresh"
    """Its ``open`` is not written yet."""
    OPENING = "opening"
    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"


class AttachStep(Enum):
    """An event that changes the state of a client's attach."""

    OPEN = "open"
    OPENED = "opened"
    CONFIRM = "confirm"


ATTACH_TRANSITIONS: dict[tuple[AttachState, AttachStep], AttachState] = {
    (AttachState.FRESH, AttachStep.OPEN): AttachState.OPENING,
    (AttachState.OPENING, AttachStep.OPENED): AttachState.PROVISIONAL,
    (AttachState.PROVISIONAL, AttachStep.CONFIRM): AttachState.CONFIRMED,
}


class Phase(Enum):
    """The phase of a client's channel."""

    CONNECTING = "connecting"
    """There has been no session yet."""
    OPEN = "open"
    RECOVERING = "recovering"
    """The connection was lost; the session waits for the next."""
    SUSPENDED = "suspended"
    """Suspended by the application; or the session has presumably expired, though resuming is still
    attempted."""
    CLOSED = "closed"


class PhaseStep(Enum):
    """An event that changes the phase of a client's channel."""

    OPENED = "opened"
    LOST = "lost"
    EXPIRE = "expire"
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"


PHASE_TRANSITIONS: dict[tuple[Phase, PhaseStep], Phase] = {
    (Phase.CONNECTING, PhaseStep.OPENED): Phase.OPEN,
    (Phase.OPEN, PhaseStep.LOST): Phase.RECOVERING,
    (Phase.RECOVERING, PhaseStep.OPENED): Phase.OPEN,
    (Phase.RECOVERING, PhaseStep.EXPIRE): Phase.SUSPENDED,
    (Phase.SUSPENDED, PhaseStep.OPENED): Phase.OPEN,
    (Phase.SUSPENDED, PhaseStep.RESUME): Phase.RECOVERING,
    **{
        (phase, step): after
        for phase in Phase
        if phase is not Phase.CLOSED
        for step, after in (
            (PhaseStep.SUSPEND, Phase.SUSPENDED),
            (PhaseStep.CLOSE, Phase.CLOSED),
        )
    },
}
