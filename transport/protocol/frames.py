"""The frames of PROTOCOL.md section 2, as frozen values of closed unions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from transport.errors import ProtocolError

VERSION = 1
"""The version of PROTOCOL.md that this package speaks (OPN-2)."""

MAX_NUMBER = 2**53 - 1
"""The largest integer that JavaScript keeps apart from its neighbours (NUM-1)."""

Json: TypeAlias = Any
"""A JSON value as Python holds it: str, int, float, bool, None, list, dict with str keys."""

Mark: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Number: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
ClientId: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{16,64}\Z")]
Nonce: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{22,64}\Z")]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
By: TypeAlias = Literal["app", "protocol"]


class TransportKind(StrEnum):
    """The transport a connection runs over, by its public name."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    LONGPOLL = "longpoll"


class Verdict(StrEnum):
    """What became of an ``open`` (RES-1)."""

    NEW = "new"
    RESUMED = "resumed"
    RESET = "reset"


class ResetReason(StrEnum):
    """Why a session could not go on (RES-5)."""

    EXPIRED = "expired"
    UNKNOWN = "unknown"
    RESTARTED = "restarted"
    FOREIGN = "foreign"
    TRIMMED = "trimmed"
    REWOUND = "rewound"
    OVERFLOW = "overflow"
    SHUTDOWN = "shutdown"


class Data(Struct, frozen=True):
    """Messages ``seq``, ``seq + 1``, ... and the sender's mark of the other direction (DAT-1)."""

    seq: int
    ack: int
    messages: list[Json]
    size: int = 0
    """Bytes of the messages: what they count in the window (DAT-6)."""


class _Control(Struct, frozen=True, tag_field="type", tag=str.lower, kw_only=True):
    """A frame that is a JSON object."""


class Bytes(_Control, frozen=True):
    """One message of bytes where there are only text frames (DAT-2)."""

    number: Number
    ack: Mark
    data: bytes


class Open(_Control, frozen=True):
    """OPN-1 to OPN-8."""

    versions: list[int]
    client: ClientId
    nonce: Nonce
    attach: Number
    received: Mark
    first_retained: Number
    session: Token | UnsetType = UNSET
    epoch: str | UnsetType = UNSET
    target: dict[str, Json] | UnsetType = UNSET
    credentials: Json | UnsetType = UNSET
    wishes: dict[str, Json] | UnsetType = UNSET


class Loss(Struct, frozen=True, kw_only=True):
    """What became of a session that could not go on (RES-2)."""

    reason: ResetReason
    lost: list[Number] | None
    handled: Mark | None
    in_hand: Mark | None

    def __post_init__(self) -> None:
        if self.lost is not None and len(self.lost) not in (0, 2):
            raise ValueError("lost is [first, last] or []")


class Reset(Loss, frozen=True, kw_only=True, tag_field="type", tag="reset"):
    """The same as a frame (RES-4)."""

    def bare(self) -> Loss:
        """As it stands in ``opened``: no frame, and so without a ``type``."""
        return Loss(reason=self.reason, lost=self.lost, handled=self.handled, in_hand=self.in_hand)


class Opened(_Control, frozen=True):
    """OPN-6."""

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


class Ack(_Control, frozen=True):
    """A mark alone; in a POST's answer also how the downlink does (SND-2)."""

    ack: Mark
    received: Mark | UnsetType = UNSET
    sent: Mark | UnsetType = UNSET
    attached: bool | UnsetType = UNSET


class Skip(_Control, frozen=True):
    """Stands in the place of a message that was refused (DAT-5)."""

    number: Number
    ack: Mark


class Ping(_Control, frozen=True):
    """LIV-1."""

    id: Mark | UnsetType = UNSET


class Pong(_Control, frozen=True):
    """LIV-1."""

    id: Mark | UnsetType = UNSET


class Error(_Control, frozen=True):
    """What was wrong, and its code of section 13."""

    code: str
    message: str
    number: Number | UnsetType = UNSET
    expected: Number | UnsetType = UNSET
    attach: Number | UnsetType = UNSET
    client: ClientId | UnsetType = UNSET
    retry_in: Seconds | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    versions: list[int] | UnsetType = UNSET


class Drain(_Control, frozen=True):
    """DRN-1."""

    retry_in: Seconds


class Renewal(_Control, frozen=True, tag="renew"):
    """The server asks for fresh credentials (REN-1)."""

    within: Seconds


class Renew(_Control, frozen=True):
    """The client gives them (REN-1)."""

    credentials: Json


class Close(_Control, frozen=True):
    """CLS-1."""

    code: int
    reason: str
    by: By
    last: Mark
    ack: Mark
    in_hand: Mark | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.code not in (1000, 1011, 1012, 1013) and not 3000 <= self.code <= 4999:
            raise ValueError("a close code is 1000, 3000 to 4999, or one of the table")
        if len(self.reason.encode()) > 123:
            raise ValueError("a close reason has at most 123 bytes in UTF-8")


class Send(_Control, frozen=True):
    """The first line of a POST (SND-1)."""

    session: Token
    client: ClientId
    attach: Number
    epoch: str | UnsetType = UNSET


class Poll(_Control, frozen=True):
    """The only line of a poll (POL-1)."""

    session: Token
    client: ClientId
    attach: Number
    poll: Number
    ack: Mark
    epoch: str | UnsetType = UNSET
    hold: Seconds | UnsetType = UNSET


ClientControl: TypeAlias = Bytes | Open | Ack | Skip | Ping | Pong | Renew | Close | Send | Poll
"""The control frames that a client sends."""

ServerControl: TypeAlias = (
    Bytes | Opened | Ack | Ping | Pong | Reset | Error | Drain | Renewal | Close
)
"""The control frames that a server sends."""

ClientFrame: TypeAlias = Data | ClientControl
ServerFrame: TypeAlias = Data | ServerControl

EncodedFrame: TypeAlias = str | bytes
"""An encoded frame: str is a text frame, bytes a binary frame of a WebSocket."""


def error_frame(error: ProtocolError) -> Error:
    """The ``error`` frame that tells a client of ``error``."""
    return Error(code=error.code.name, message=error.message, **error.extra)  # type: ignore[arg-type]


def nothing_known(reason: ResetReason) -> Reset:
    """The verdict where nothing is known of what was sent (RES-2)."""
    return Reset(reason=reason, lost=None, handled=None, in_hand=None)
