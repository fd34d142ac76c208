"""The questions of an edge to a home, and their answers: the bodies of calls.

No token, nonce or credential is in any of them.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw, Struct, msgpack

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.frames import Close, Opened, Reset
from transport.protocol.server.tombstone import Tombstone


class Failure(Struct, frozen=True):
    """A `ProtocolError`, to be raised at the edge.

    Attributes:
        code: the name of its code.
        message, extra: see `ProtocolError`.
    """

    code: str
    message: str
    extra: dict[str, Any] = {}

    @classmethod
    def of(cls, error: ProtocolError) -> Failure:
        """Return the failure that reports an error."""
        return cls(error.code.name, error.message, error.extra)

    def error(self) -> ProtocolError:
        """Return the error."""
        return ProtocolError(code_named(self.code), self.message, **self.extra)


class Opening(Struct, frozen=True):
    """Kind ``open``: attach a connection to a session.

    Attributes:
        link: the number by which the edge will name the connection on the pipe.
        frame: the ``open``, without its token, nonce and credentials.
        transport: over which it came.
        id, hash: what its token proves; for ``begins`` of the token that it will get.
        subject: whose it is, as the edge has authenticated; see `encode_text`.
        expires: the Unix time at which that expires, or None.
        begins: whether the session was begun by the same nonce (OPN-4), not named.
        reset: with ``begins``, the fate of the session that the client had before.
    """

    link: int
    frame: str
    transport: str
    id: str
    hash: bytes
    subject: bytes
    expires: float | None
    begins: bool = False
    reset: Reset | None = None


class Held(Struct, frozen=True):
    """Kind ``held``: whether a client has a live session; the answer is its id, or "".

    Attributes:
        id, hash: what its token proves.
    """

    id: str
    hash: bytes


class Attached(Struct, frozen=True, tag=True):
    """The connection is attached.

    Attributes:
        frames: the answer to the ``open`` of a long poll; the frames of a stream come as items.
    """

    frames: list[Any]


class Final(Struct, frozen=True, tag=True):
    """The session has ended.

    Attributes:
        frames, close_code: see `FinalAnswer`.
        code: the name of its code.
    """

    frames: list[Opened | Close | Reset]
    code: str
    close_code: int


class Replaced(Struct, frozen=True, tag=True):
    """The client is to get another session.

    Attributes:
        reset: the fate of the one that it named, or None.
    """

    reset: Reset | None


class Unknown(Struct, frozen=True, tag=True):
    """No session has this id."""


class Refused(Struct, frozen=True, tag=True):
    """The request was refused.

    Attributes:
        failure: why.
    """

    failure: Failure


class Posted(Struct, frozen=True):
    """Kind ``send``: handle a POST.

    Attributes:
        id, hash: what the token of its ``send`` proves.
        body: its lines; the token in the first one is replaced.
    """

    id: str
    hash: bytes
    body: bytes


class Polled(Struct, frozen=True):
    """Kind ``poll``: wait until something is due to a long poll's attach.

    Attributes:
        id, hash: what its token proves.
        frame: the ``poll``; its token is replaced.
    """

    id: str
    hash: bytes
    frame: str


class Answered(Struct, frozen=True, tag=True):
    """The frames that answer a POST or a poll."""

    frames: list[Any]


class Renewed(Struct, frozen=True):
    """Kind ``renew``: the edge checks fresh credentials, or has checked them (REN-1).

    Attributes:
        id, hash: what the token of the session proves.
        subject: whose they are; see `encode_text`.
        expires: the Unix time at which they expire, or None.
        refused: why they were refused, or None.
        link: the number of the connection on which they came; 0 for a POST.
        accepted: how many credentials the home had accepted when the check began. None asks for
            that number, which is then the answer.
    """

    id: str
    hash: bytes
    subject: bytes = b""
    expires: float | None = None
    refused: Failure | None = None
    link: int = 0
    accepted: int | None = None


class Reserved(Struct, frozen=True):
    """Kind ``reserve``: which session an opening gets; the answer is an id.

    Attributes:
        opening: a hash of the subject, the client and the nonce.
        id: the one to begin if none is reserved.
        instead: an id that was reserved, and that no session has after all.
    """

    opening: str
    id: str
    instead: str = ""


class Delivery(Struct, frozen=True):
    """Kind ``deliver``: send a message to a channel; the answer is whether it took it.

    Attributes:
        channel: its id.
        payload: the message, encoded.
    """

    channel: str
    payload: Any


class EndedSession(Struct, frozen=True):
    """How a session ended.

    Attributes:
        id, hash: what its token proves.
        subject: whose it was; see `encode_text`.
        tombstone: how it ended.
        until: the Unix time until which that is kept.
    """

    id: str
    hash: bytes
    subject: bytes
    tombstone: Tombstone
    until: float


class EndedSessions(Struct, frozen=True):
    """What a process leaves behind.

    Attributes:
        sessions: each is an `EndedSession`, so that one of a later release spoils no other. Those
            that ended first come first.
    """

    sessions: list[Raw]


decode_opening = msgpack.Decoder(Opening).decode
decode_opened = msgpack.Decoder(Attached | Final | Replaced | Unknown | Refused).decode
decode_posted = msgpack.Decoder(Posted).decode
decode_polled = msgpack.Decoder(Polled).decode
decode_answered = msgpack.Decoder(Answered | Refused).decode
decode_renewed = msgpack.Decoder(Renewed).decode
decode_reserved = msgpack.Decoder(Reserved).decode
decode_delivery = msgpack.Decoder(Delivery).decode
decode_ended_sessions = msgpack.Decoder(EndedSessions).decode
decode_ended = msgpack.Decoder(EndedSession).decode
encode_ended_sessions = msgpack.Encoder().encode
encode_ended = msgpack.Encoder().encode
decode_held = msgpack.Decoder(Held).decode
decode_id = msgpack.Decoder(str).decode


_CODES = {code.name: code for code in vars(codes).values() if isinstance(code, Code)}


def code_named(name: str) -> Code:
    """Return a row of the table of codes; ``internal`` for one of a later release."""
    return _CODES.get(name, codes.INTERNAL)
