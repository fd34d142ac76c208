"""The life of a session, as one table. What is not in it raises and changes nothing.

    OPEN ---peer closes---> PEER_CLOSED ---we close---> CLOSING ---all acknowledged---> CLOSED
      \\------------------------we close---------------->/
    OPEN, PEER_CLOSED ---expires, is reset---> CLOSED <---is reset, takes too long--- CLOSING

Whether connections are attached is no phase of it: any may come and go in each (DESIGN: a session
and its connections are two lives).
"""

from __future__ import annotations

from enum import Enum

from transport.errors import LocalProtocolError


class State(Enum):
    """A session's phase of life, the same for both sides."""

    OPEN = "open"
    """Both sides number messages."""
    PEER_CLOSED = "peer_closed"
    """The peer gives no more numbers; what it gave is still delivered, and we may still send."""
    CLOSING = "closing"
    """We give no more numbers; what we gave is still delivered."""
    CLOSED = "closed"
    """Over. Only the tombstone answers."""


class Step(Enum):
    """What moves a session from one phase to the next."""

    LOCAL_CLOSE = "local_close"
    PEER_CLOSE = "peer_close"
    ALL_ACKNOWLEDGED = "all_acknowledged"
    EXPIRE = "expire"
    RESET = "reset"
    GIVE_UP = "give_up"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.OPEN, Step.LOCAL_CLOSE): State.CLOSING,
    (State.OPEN, Step.PEER_CLOSE): State.PEER_CLOSED,
    (State.OPEN, Step.EXPIRE): State.CLOSED,
    (State.OPEN, Step.RESET): State.CLOSED,
    (State.PEER_CLOSED, Step.PEER_CLOSE): State.PEER_CLOSED,  # resent after a resume
    (State.PEER_CLOSED, Step.LOCAL_CLOSE): State.CLOSING,
    (State.PEER_CLOSED, Step.EXPIRE): State.CLOSED,
    (State.PEER_CLOSED, Step.RESET): State.CLOSED,
    (State.CLOSING, Step.PEER_CLOSE): State.CLOSING,  # its answer, or both at once
    (State.CLOSING, Step.ALL_ACKNOWLEDGED): State.CLOSED,
    (State.CLOSING, Step.RESET): State.CLOSED,
    (State.CLOSING, Step.GIVE_UP): State.CLOSED,
}


def advance(state: State, step: Step) -> State:
    """The phase after ``step``.

    Raises:
        LocalProtocolError: the table has no such transition.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise LocalProtocolError(f"a session that is {state.value} cannot {step.value}") from None
