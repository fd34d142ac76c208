"""How a vector writes frames, messages and kinds of transport (`tests/vectors/README.md`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from transport.protocol.frames import EncodedFrame, TransportKind

Step = dict[str, Any]
"""One step of a vector, or its outcome."""

TRANSPORTS = {
    "websocket": TransportKind.WEBSOCKET,
    "sse": TransportKind.SSE,
    "poll": TransportKind.LONGPOLL,
}


def to_wire(frame: Any, *, binary: bool = False) -> EncodedFrame:
    """Encode a frame of a vector for the wire."""
    if isinstance(frame, dict) and "text" in frame:
        return str(frame["text"])
    if binary and isinstance(frame, dict) and frame.get("type") == "bytes":
        head = frame["number"].to_bytes(8, "big") + frame["ack"].to_bytes(8, "big")
        return bytes(head + base64.b64decode(frame["data"]))
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def from_wire(encoded: EncodedFrame) -> Any:
    """Decode a frame into the form that a vector has for it."""
    if isinstance(encoded, str):
        return json.loads(encoded)
    return {
        "type": "bytes",
        "number": int.from_bytes(encoded[:8], "big"),
        "ack": int.from_bytes(encoded[8:16], "big"),
        "data": base64.b64encode(encoded[16:]).decode(),
    }


def to_message(value: Any) -> Any:
    """Return a message of a vector: ``{"$bytes": base64}`` stands for bytes."""
    if isinstance(value, dict) and "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return value


def from_message(message: Any) -> Any:
    """Return the form that a vector has for a message; the reverse of `to_message`."""
    if isinstance(message, bytes):
        return {"$bytes": base64.b64encode(message).decode()}
    return message


def to_body(frames: Sequence[Any]) -> str:
    """Encode frames as the lines of a body."""
    return "".join(f"{to_wire(frame)!s}\n" for frame in frames)
