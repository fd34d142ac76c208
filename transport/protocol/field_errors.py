"""What is wrong with a control frame: msgspec's error as one of the protocol's. Pure."""

from __future__ import annotations

from transport import codes
from transport.errors import ProtocolError

_NUMBERS = frozenset(
    {
        *("number", "ack", "attach", "received", "first_retained", "poll", "last"),
        *("handled", "sent", "in_hand", "expected"),
    }
)


def field_error(detail: str) -> ProtocolError:
    """Turn msgspec's message into our error, which names the field and type, never the value."""
    # Search from the right: the part before may quote the input.
    front, mark, path = detail.rpartition(" - at `$")
    what, path = (front, path) if mark else (detail, "")
    name = path.rstrip("`").lstrip(".").split(".")[-1].split("[")[0]
    if what.startswith("Invalid value") and name == "type":
        return ProtocolError(codes.BAD_FRAME, "the frame's type is not in PROTOCOL.md")
    if what.startswith("Invalid"):  # the rest of it would quote the value
        what = "the value is not one of those allowed"
    missing = what.removeprefix("Object missing required field ")
    if missing != what:
        name, what = "", f"the frame has no {missing}"
    code = codes.BAD_NUMBER if name in _NUMBERS else codes.BAD_FRAME
    return ProtocolError(code, f"{name}: {what}" if name else what)
