"""The frames of PROTOCOL.md, as frozen values of closed unions."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from transport.codes import CLOSE_CODES, is_close_code, is_close_reason
from transport.errors import ProtocolError

NDJSON = "application/x-ndjson"
"""The media type of frames in the body of a request or a response (HTTP-1)."""

VERSION = 1
"""The version of PROTOCOL.md that this package speaks (OPN-2)."""

MAX_NUMBER = 2**53 - 1
"""The largest integer that JavaScript represents exactly (NUM-1)."""

Json: TypeAlias = Any
"""A JSON value as Python holds it: str, int, float, bool, None, list, dict with str keys."""

Mark: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
ClientId: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{16,64}\Z")]
Nonce: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{22,64}\Z")]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Kind: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Kinds: TypeAlias = Annotated[list[Kind], Meta(max_length=32)]
"""The kinds of ``item`` that a side takes (OPN-11), bounded as they are kept with the session."""
Initiator: TypeAlias = Literal["app", "protocol"]


class TransportKind(StrEnum):
    """The transport of a connection, by its public name."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    LONGPOLL = "longpoll"


class Verdict(StrEnum):
    """The outcome of an ``open`` (RES-1)."""

    NEW = "new"
    RESUMED = "resumed"
    RESET = "reset"


class ResetReason(StrEnum):
    """The reason why a session could not be resumed (RES-5)."""

    EXPIRED = "expired"
    UNKNOWN = "unknown"
    RESTARTED = "restarted"
    FOREIGN = "foreign"
    TRIMMED = "trimmed"
    REWOUND = "rewound"
    OVERFLOW = "overflow"
    SHUTDOWN = "shutdown"
    STORE_LOST = "store_lost"
    FAILED = "failed"
    """A client's own, in no frame: the server's handler failed (CLS-8)."""

    @classmethod
    def _missing_(cls, value: object) -> ResetReason:
        """Take a reason of a later edition for one about which nothing is known (RES-5)."""
        return cls.UNKNOWN


class Nothing(Enum):
    """The type of `NOTHING`."""

    TOKEN = 0


NOTHING = Nothing.TOKEN
"""The message of a number that delivers none: it was given up (DAT-5), or the type of its frame is
unknown (FRM-5)."""


class Data(Struct, frozen=True):
    """Messages ``seq``, ``seq + 1``, ... and the sender's ack of the other direction (DAT-1)."""

    seq: int
    ack: int
    messages: list[Json]
    size: int = 0
    """The bytes of the messages, as the window counts them (DAT-6)."""
    text: str = ""
    """The frame; its last items are the messages. Empty for messages of bytes."""


class _Control(Struct, frozen=True, tag_field="type", tag=str.lower, kw_only=True):
    """A frame that is a JSON object."""


class Bytes(_Control, frozen=True):
    """One message of bytes, on a transport that has only text frames (DAT-2)."""

    number: Number
    ack: Mark
    data: bytes


class Target(Struct, frozen=True):
    """An inner WebSocket application of the server, at the URL of the channel (TGT-1)."""

    subprotocols: list[str]


class Open(_Control, frozen=True):
    """Ask to attach to a session, new or old; the first frame of a connection (OPN-1 to OPN-8)."""

    versions: list[int]
    client: ClientId
    nonce: Nonce
    attach: Number
    received: Mark
    first_retained: Number
    session: Token | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    target: Target | UnsetType = UNSET
    credentials: Json | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET


class Loss(Struct, frozen=True, kw_only=True):
    """The fate of a session that could not be resumed (RES-2)."""

    reason: ResetReason
    lost: list[Number | None] | None
    """The first and the last number; the last is None if it is not known how many follow."""
    handled: Mark | None
    in_hand: Mark | None
    dropped: Mark | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.lost and (len(self.lost) != 2 or self.lost[0] is None):
            raise ValueError("lost is [first, last], [first, null] or []")


class Reset(Loss, frozen=True, kw_only=True, tag_field="type", tag="reset"):
    """A `Loss` sent as a frame (RES-4)."""

    def bare(self) -> Loss:
        """Return the part that ``opened`` carries: not a frame, so without a ``type``."""
        return Loss(
            reason=self.reason,
            lost=self.lost,
            handled=self.handled,
            in_hand=self.in_hand,
            dropped=self.dropped,
        )


class Opened(_Control, frozen=True):
    """Answer an ``open``: the session, its marks, and what the server advertises (OPN-6)."""

    version: int
    id: str
    attach: Number
    client: ClientId
    verdict: Verdict
    received: Mark
    handled: Mark
    sent: Mark
    epoch: str
    limits: dict[str, int]
    timings: dict[str, float]
    session: Token | UnsetType = UNSET
    reset: Loss | UnsetType = UNSET
    kinds: Kinds | UnsetType = UNSET


class Ack(_Control, frozen=True):
    """Acknowledge without data; in a POST's answer also report on the downlink (SND-2).

    A server asks by ``prompt`` to be acknowledged at once (MRK-8).
    """

    ack: Mark
    received: Mark | UnsetType = UNSET
    sent: Mark | UnsetType = UNSET
    attached: bool | UnsetType = UNSET
    prompt: bool | UnsetType = UNSET


class Skip(_Control, frozen=True):
    """Take the number of a message that was refused (DAT-5)."""

    number: Number
    ack: Mark


class Numbered(Struct, frozen=True, kw_only=True):
    """The known part of a numbered frame of an unknown type (FRM-5)."""

    type: str
    number: Number
    ack: Mark


class Ping(_Control, frozen=True):
    """Ask the peer to prove that it is alive (LIV-1)."""

    id: Mark | UnsetType = UNSET


class Pong(_Control, frozen=True):
    """Answer a ``ping``, with its ``id`` (LIV-1)."""

    id: Mark | UnsetType = UNSET


class Error(_Control, frozen=True):
    """Report to the peer what was wrong, with a code of section 13."""

    code: str
    message: str
    number: Number | UnsetType = UNSET
    last: Number | UnsetType = UNSET
    expected: Number | UnsetType = UNSET
    attach: Number | UnsetType = UNSET
    client: ClientId | UnsetType = UNSET
    retry_in: Seconds | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    versions: list[int] | UnsetType = UNSET


class Drain(_Control, frozen=True):
    """Ask the client to leave this connection and to resume over another (DRN-1)."""

    retry_in: Seconds


class RenewRequest(_Control, frozen=True, tag="renew"):
    """Ask the client for fresh credentials (REN-1)."""

    within: Seconds


class Renew(_Control, frozen=True):
    """Give fresh credentials (REN-1)."""

    credentials: Json


class Close(_Control, frozen=True):
    """Close the session: the last number used, and the reason (CLS-1)."""

    code: int
    reason: str
    by: Initiator
    last: Mark
    ack: Mark
    in_hand: Mark | UnsetType = UNSET
    retry_in: Seconds | UnsetType = UNSET
    """The server's handler failed: after that many seconds it takes a new session (CLS-8)."""

    def __post_init__(self) -> None:
        if not is_close_code(self.code):
            raise ValueError(f"a close code is {CLOSE_CODES}")
        if not is_close_reason(self.reason):
            raise ValueError("a close reason has at most 123 bytes in UTF-8")


class Leave(_Control, frozen=True):
    """Tell that the page goes away and will not come back, though it does not close (LIV-6)."""


class Send(_Control, frozen=True):
    """Name the session and the attach of a POST; its first line (SND-1)."""

    session: Token
    client: ClientId
    attach: Number
    epoch: str | UnsetType = UNSET
    ack: Mark | UnsetType = UNSET
    """The client's mark of the downlink, which the answer may then bring (POL-4)."""


class Poll(_Control, frozen=True):
    """Ask for frames over long poll; the only line of a poll (POL-1)."""

    session: Token
    client: ClientId
    attach: Number
    poll: Number
    ack: Mark
    epoch: str | UnsetType = UNSET
    hold: Seconds | UnsetType = UNSET


ClientControl: TypeAlias = (
    Bytes | Open | Ack | Skip | Ping | Pong | Renew | Close | Leave | Send | Poll
)
"""The control frames that a client sends."""

ServerControl: TypeAlias = (
    Bytes | Opened | Ack | Ping | Pong | Reset | Error | Drain | RenewRequest | Close
)
"""The control frames that a server sends."""

EncodedFrame: TypeAlias = str | bytes
"""An encoded frame: a str is a text frame, bytes a binary frame of a WebSocket."""


def error_frame(error: ProtocolError) -> Error:
    """Return the ``error`` frame that reports ``error``."""
    return Error(code=error.code.name, message=error.message, **error.extra)  # type: ignore[arg-type]


def reset_without_marks(reason: ResetReason) -> Reset:
    """Return the reset of a session about which nothing is known (RES-2)."""
    return Reset(reason=reason, lost=None, handled=None, in_hand=None)
