"""The messages of a campaign: one for each number, of every kind that a channel carries.

They include text, JSON with all of Unicode over 10,000 messages, bytes of every value and of sizes
from 0 on, and some messages of each kind that are exactly as large as `Limits.message` allows.
``numbered`` of `tests/support/browsers/page.js` returns the same.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from transport import Limits

Message: TypeAlias = "str | bytes | dict[str, object]"

LARGEST = Limits().message
PARTS = 1000
"""The number of messages that share Unicode among them. One message in ten is of this kind."""
LONGEST_PART = 1113
"""The number of code points in each; the last has fewer."""

ODD = [
    "\u2028",
    "\u2029",
    "\u0085",
    "\x00",
    "\x1f\x7f",
    "a\r\nb\n",
    '"\\',
    "\ufeff",
    "\ufffe\uffff",
    "",
]


def numbered(index: int) -> Message:
    """Return the message with this number, from 1. Two consecutive messages always differ."""
    if index % 3000 in (1, 1001, 2001):
        return _largest(index)
    match index % 10:
        case 0:
            return {"number": index, "unicode": _part(index // 10 - 1)}
        case 3 | 7:
            return _bytes(index, index // 5)
        case 5:
            return _awkward(index)
        case _:
            return _text(index)


def same(due: object, message: object) -> bool:
    """Return whether content and types are equal, including int or float and the order of keys."""
    if isinstance(due, (str, bytes)):
        return type(message) is type(due) and message == due
    return repr(message) == repr(due)


def _text(index: int) -> str:
    """Return a text that does not compress well."""
    words = (index * factor % 2**32 for factor in (2654435761, 2246822519, 3266489917))
    return f"{index}:" + "".join(f"{word:08x}" for word in words)


def _awkward(index: int) -> dict[str, object]:
    deep: object = index
    for _ in range(index % 60):
        deep = [deep]
    return {
        "number": index,
        ODD[index // 10 % len(ODD)]: ODD,
        "empty": [{}, [], "", None, True, False, {"": [[]]}],
        "integers": [0, -1, 2**53 - 1, 1 - 2**53],
        "floats": [(index + 0.5) / 7, -(index + 0.25) / 3, 5e-324, 4503599627370495.5, 1e-7],
        "deep": deep,
    }


def _part(part: int) -> str:
    first = part % PARTS * LONGEST_PART
    return _unicode()[first : first + LONGEST_PART]


@cache
def _unicode() -> str:
    """Return every code point except the surrogates."""
    return "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


def _bytes(index: int, count: int) -> bytes:
    """Return bytes that are mostly few; sometimes their count is next to a power of 2."""
    return _values(index, 2 ** (count // 100 % 19) - 1 if count % 100 == 99 else count % 257)


_VALUES = bytes(range(256)) * (LARGEST // 256 + 1)


def _values(index: int, size: int) -> bytes:
    """Return ``size`` bytes: the number, then all byte values in turn."""
    first = index % 256
    return (index.to_bytes(4) + _VALUES[first : first + size])[:size]


def _largest(index: int) -> Message:
    match index % 3000:
        case 1:
            return f"{index}:" + _fill(LARGEST - len(f'"{index}:"'), "\U0001f600")
        case 1001:
            return _values(index, LARGEST)
        case _:
            around = len(f'{{"number":{index},"fill":""}}')
            return {"number": index, "fill": _fill(LARGEST - around, "\u2028")}


def _fill(size: int, character: str) -> str:
    """Return a string of ``size`` bytes of UTF-8."""
    width = len(character.encode())
    return character * (size // width) + "x" * (size % width)
