"""Frames in the debug log: their kind and their numbers, and never what they carry."""

from __future__ import annotations

import json
import re
from typing import Any

from transport.codes import CODES
from transport.protocol.frames import EncodedFrame, ResetReason, Verdict

_KINDS = frozenset(
    {
        *("bytes", "open", "opened", "ack", "skip", "ping", "pong", "reset", "error", "drain"),
        *("renew", "close", "send", "poll"),
    }
)
_NUMBERS = (
    *("attach", "number", "received", "first_retained", "handled", "sent", "ack", "attached"),
    *("id", "poll", "hold", "code", "last", "in_hand", "expected", "retry_in", "within"),
)
"""Fields that are logged if they are numbers."""
_SESSION = re.compile(r"[\w-]{1,64}", re.ASCII)
"""The public id of a session, which is fit for logs (OPN-6): the server's log has it, too."""
_WORDS = {
    "verdict": frozenset(Verdict),
    "code": frozenset(CODES),
    "reason": frozenset(ResetReason),
    "by": frozenset(("app", "protocol")),
}
"""Fields that are logged if they are one of these words of the protocol."""


def describe_frame(encoded: EncodedFrame) -> str:
    """Return the kind and the numbers of a frame: ``data 5-7 ack=3``, ``close code=1000 ...``."""
    if isinstance(encoded, bytes):
        number, ack = int.from_bytes(encoded[:8], "big"), int.from_bytes(encoded[8:16], "big")
        return f"bytes number={number} ack={ack} size={len(encoded) - 16}"
    frame: Any
    try:
        frame = json.loads(encoded)
    except (ValueError, RecursionError):
        return f"unreadable size={len(encoded)}"
    match frame:
        case [int(seq), int(ack), *messages] if messages:
            last = seq + len(messages) - 1
            return f"data {seq}-{last} ack={ack} size={len(encoded)}"
        case {"type": "opened", "id": str(session), **fields} if _SESSION.fullmatch(session):
            return " ".join(["opened", f"channel={session}", *_fields(fields)])
        case {"type": str(kind), **fields} if kind in _KINDS:
            return " ".join([kind, *_fields(fields)])
        case _:
            return f"unknown size={len(encoded)}"


def _fields(fields: dict[Any, Any]) -> list[str]:
    numbers = [
        f"{name}={fields[name]}" for name in _NUMBERS if isinstance(fields.get(name), (int, float))
    ]
    words = [
        f"{name}={fields[name]}"
        for name, known in _WORDS.items()
        if isinstance(fields.get(name), str) and fields[name] in known
    ]
    return numbers + words
