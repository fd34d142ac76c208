"""The inputs, outputs and events of a client's session, and how its channel ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from transport import codes
from transport.errors import ChannelError, Fate, NotRead, TooLarge
from transport.protocol.client.link import Link
from transport.protocol.frames import EncodedFrame, Initiator, Json, ResetReason, Verdict

# The end of a channel


@dataclass(frozen=True, slots=True)
class Closing:
    """How a channel is to end, or has ended: the code and reason of the ``close``."""

    code: int
    reason: str
    by: Initiator


# Outputs


class Request(Enum):
    """The requests of a link, at most one of each in flight. A WebSocket makes only OPEN."""

    OPEN = "open"
    POST = "post"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class Output:
    """What a link writes: the lines of one request's body, or frames of a WebSocket."""

    request: Request | None
    """None for the frames of a WebSocket that has opened."""
    frames: Sequence[EncodedFrame]


# Inputs


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A WebSocket message, or the data of a server-sent event."""

    frame: EncodedFrame


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request. Status 0 means that no answer arrived in time."""

    request: Request
    status: int
    text: str = ""
    retry_in: float = 0.0
    """The seconds after which to try again, as the header ``Retry-After`` asks for."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection ended. ``code`` is the close code of a WebSocket."""

    reason: str
    code: int = 0


Input: TypeAlias = FrameReceived | Answer | ConnectionLost


# Events


@dataclass(frozen=True, slots=True)
class Attached:
    """An attach succeeded: the session is open, or resumed."""

    link: Link
    verdict: Verdict
    """NEW or RESUMED."""
    id: str
    replayed: int


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages of the downlink, in order."""

    messages: Sequence[Json]
    replays: int
    """How many leading messages the server had sent before the last resume (OPN-6)."""
    size: int
    text: str = ""
    """`Data.text` of their frame."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The fate of the sends ``first`` to ``last``."""

    first: int
    last: int
    fate: Fate


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server refused the sends ``first`` to ``last`` by their numbers (DAT-5)."""

    first: int
    last: int
    size: int
    """Of the first."""
    code: str
    """``too_large``, or ``not_read`` if its application does not receive."""

    def error(self, limit: int) -> ChannelError:
        """Return the error of the send; ``limit`` is the server's for the size of a message."""
        return NotRead() if self.code == codes.NOT_READ.name else TooLarge(self.size, limit)


@dataclass(frozen=True, slots=True)
class WasReset:
    """The session could not be continued; ``sends`` has the fate of every unacknowledged send
    (RES-3)."""

    reason: ResetReason
    lost: Sequence[int | None] | None
    """The first and the last number; the last is None if it is not known how many follow."""
    dropped: int
    """How many messages the server refused as its buffer was full, as far as counted."""
    handled: int | None
    sends: Sequence[Settled]


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another client has the session; `Closed` follows."""

    attach: int
    client: str


@dataclass(frozen=True, slots=True)
class RenewalRequested:
    """The credentials expire: call `ClientSession.renew` within that many seconds (REN-1)."""

    within: float


@dataclass(frozen=True, slots=True)
class Ponged:
    """The server has answered the pings up to this one."""

    number: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The channel has ended."""

    code: int
    reason: str
    by: Initiator
    clean: bool
    """Whether everything up to the server's ``last`` was received."""
    sends: Sequence[Settled]
    is_abandoned: bool = False
    """Whether this side has given up; otherwise the server has answered, closed or refused."""


@dataclass(frozen=True, slots=True)
class LinkDropped:
    """A link has ended; the session continues over the next."""

    link: Link
    reason: str
    retry_in: float
    drained: bool
    """Whether the server asked for it (DRN-1)."""
    outputs: Sequence[Output] = ()
    """What to write on its connection before that is closed: the answer to a close (CLS-8)."""


Event: TypeAlias = (
    Attached
    | Messages
    | Settled
    | Rejected
    | WasReset
    | Superseded
    | RenewalRequested
    | Ponged
    | Closed
    | LinkDropped
)
