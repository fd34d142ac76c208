"""The names of topics, and what a dismissal in one says.

A topic of `EVERYONE` or `DISMISSALS` has no further name; a group's has its own behind `GROUP`.
"""

from __future__ import annotations

import msgspec

GROUP = "g/"
"""What the topic of a group begins with."""

EVERYONE = "*"
"""The topic of all channels of a hub."""

DISMISSALS = "!"
"""The topic of the users whose sessions end."""

DOUBT = "?"
"""What comes before the name of a topic where a store keeps, beside how far a session has come in
it, the number of an entry that the session has taken and the topic has lost."""


class Dismissal(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of a user's sessions.

    Attributes:
        subject: the user, as UTF-8 in which lone surrogates are allowed.
    """

    subject: bytes


def encode_dismissal(subject: str) -> bytes:
    """Return the payload of a dismissal."""
    return msgspec.msgpack.encode(Dismissal(subject.encode("utf-8", "surrogatepass")))


def decode_dismissal(payload: str | bytes) -> str:
    """Return the subject of a dismissal.

    Raises:
        ValueError: the payload is not one of a dismissal.
    """
    if isinstance(payload, str):
        raise ValueError("a dismissal is bytes")
    try:
        dismissal = msgspec.msgpack.decode(payload, type=Dismissal)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    return dismissal.subject.decode("utf-8", "surrogatepass")
