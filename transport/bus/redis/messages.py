"""What one process publishes to another: items in numbered messages."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from msgspec import DecodeError, Struct, msgpack

VERSION = 1
"""Of these messages. A process ignores those of another version."""


class Kind(IntEnum):
    """What a message is about."""

    DATA = 0
    """Parts of items; or none, and then it tells numbers."""
    BROKEN = 1
    """Its sender misses something of this epoch, or knows no epoch: begin another."""
    BYE = 2
    """Its sender is gone for good."""


class Is(IntEnum):
    """What a part is."""

    ITEM = 0
    """An item, or the last piece of one."""
    PIECE = 1
    """A piece of an item that others follow."""
    END = 2
    """The end of the pipe."""


Part: TypeAlias = tuple[int, int, bytes]
"""The id of a pipe, negative if the receiver has opened it; `Is`; the encoded item."""


class Message(Struct, frozen=True, array_like=True):
    """One message.

    Attributes:
        version: see `VERSION`.
        sender: the name of the process.
        kind: see `Kind`.
        epoch: of the two streams between the processes, see `Pair`.
        number: of the newest message with parts, this one included.
        acked: the number of the newest message with parts that the sender has taken.
        asks: whether it is to be answered at once, so that its sender learns ``acked``.
        parts: what it carries.
    """

    version: int
    sender: str
    kind: Kind
    epoch: int = 0
    number: int = 0
    acked: int = 0
    asks: bool = False
    parts: list[Part] = []


class _Header(Struct, array_like=True):
    version: int


encode_message = msgpack.Encoder().encode
_decode = msgpack.Decoder(Message).decode
_decode_header = msgpack.Decoder(_Header).decode


def decode_message(data: bytes) -> Message | int:
    """Return a message; or its version, if that is not known; 0 if it is no message at all."""
    try:
        message = _decode(data)
        return message if message.version == VERSION else message.version
    except DecodeError:
        pass
    try:
        version = _decode_header(data).version
    except DecodeError:
        return 0
    return version if version != VERSION else 0
