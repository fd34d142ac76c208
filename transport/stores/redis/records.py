"""How Redis keeps a session: its `Image` as the fields of a hash and the elements of a list.

Redis packs a hash of at most 128 fields of at most 64 bytes each, which makes an idle session four
times as small. So fields have short names, what can be long is hashed or split, and what has its
usual value is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from transport.protocol.codec import Payload
from transport.protocol.journal import Image
from transport.stores.names import shorten, shorten_topic

Value: TypeAlias = str | bytes | int
"""An argument of a command."""

_PACKED = 64
"""Bytes of a value in a hash that Redis packs (``hash-max-listpack-value``)."""

_BYTES = b"\0"
"""Begins a message of bytes in the log. A JSON text cannot begin with it."""

CURSOR = "g:"
"""Begins the fields of cursors; the name of the topic follows."""


def encode_fields(image: Image) -> list[Value]:
    """Return the fields of a record, each followed by its value.

    ``subject``, ``hub`` and the topics are stored as `shorten` returns them, and come back so.
    """
    fields: list[Value] = [
        *("p", image.home, "f", image.fence, "v", image.version),
        *("u", _encode_name(image.subject), "k", image.token, "n", _encode_name(image.hub)),
        *("b", image.born, "t", image.seen, "r", image.run),
        *("e", _encode_epoch(image)),
        *("h", image.handled, "a", image.acked, "l", image.last),
        *("c", image.confirmed, "o", image.holder),
        *("s", image.partial, "y", image.trials, "z", image.closing),
    ]
    if image.wraps:
        fields += ("w", 1)
    for topic, entry in image.cursors.items():
        fields += (cursor_field(topic), entry)
    if image.tombstone:
        fields += encode_tombstone(image.tombstone)
    return fields


def encode_tombstone(tombstone: bytes) -> list[Value]:
    """Return the fields of a tombstone, each followed by its value: ``x``, ``x1``, ``x2`` ..."""
    parts = range(0, len(tombstone), _PACKED)
    return [
        item
        for number, start in enumerate(parts)
        for item in (f"x{number or ''}", tombstone[start : start + _PACKED])
    ]


def cursor_field(topic: str) -> bytes:
    """Return the field with the cursor of a topic."""
    return (CURSOR + shorten_topic(topic)).encode("utf-8", "surrogatepass")


def encode_payloads(payloads: Iterable[Payload]) -> list[bytes]:
    """Return messages as elements of the log."""
    return [each.encode() if isinstance(each, str) else _BYTES + each for each in payloads]


def shorten_run(run_id: str) -> str:
    """Return what is kept of the id of a run, as INFO tells it: 64 bits, random as it is.

    A record has it twice.
    """
    return run_id[:16]


def encode_birth(run: str, now: int) -> str:
    """Return the value of `Keys.born`.

    Args:
        run: the run of the store.
        now: milliseconds of the store's clock, at which the data began.
    """
    return f"{run} {now}"


def decode_birth(value: bytes) -> tuple[str, int]:
    """Return the run of the store, and the milliseconds of its clock at which the data began."""
    run, now = value.split()
    return run.decode(), int(now)


def decode_image(
    fields: Iterable[bytes] | Mapping[bytes, bytes], log: Sequence[bytes] = ()
) -> Image:
    """Return a session.

    Args:
        fields: of its record, as HGETALL returns them: each followed by its value, or as a dict.
        log: the elements of its log; none if only the record was read.

    Raises:
        ValueError: the record was not written by this layout.
    """
    if isinstance(fields, Mapping):
        values = fields
    else:
        pairs = iter(fields)
        values = dict(zip(pairs, pairs, strict=True))
    try:
        epoch, first, before = _decode_epoch(values[b"e"])
        return Image(
            home=values[b"p"].decode(),
            fence=int(values[b"f"]),
            version=int(values[b"v"]),
            subject=_decode_name(values[b"u"]),
            token=values[b"k"],
            hub=_decode_name(values[b"n"]),
            born=int(values[b"b"]),
            seen=int(values[b"t"]),
            run=values[b"r"].decode(),
            epoch=epoch,
            epoch_first=first,
            epoch_before=before,
            wraps=b"w" in values,
            handled=int(values.get(b"h", 0)),
            acked=int(values.get(b"a", 0)),
            last=int(values.get(b"l", 0)),
            confirmed=int(values.get(b"c", 0)),
            holder=values[b"o"].decode(),
            partial=int(values.get(b"s", 0)),
            trials=int(values.get(b"y", 0)),
            closing=values.get(b"z", b""),
            cursors=dict(_decode_cursors(values)),
            payloads=tuple(map(decode_payload, log)),
            tombstone=b"".join(_decode_tombstone(values)),
        )
    except KeyError as error:
        raise ValueError(f"the record of a session has no field {error}") from None


def decode_payload(element: bytes) -> Payload:
    """Return the message of an element of the log."""
    return element[1:] if element[:1] == _BYTES else element.decode()


def _encode_name(name: str) -> bytes:
    return shorten(name).encode("utf-8", "surrogatepass")


def _decode_name(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _encode_epoch(image: Image) -> str:
    parts = (image.epoch, image.epoch_first or "", image.epoch_before)
    return " ".join(str(part) for part in parts if part)


def _decode_epoch(value: bytes) -> tuple[str, int, str]:
    epoch, first, before = (*value.decode().split(" "), "", "")[:3]
    return epoch, int(first or 0), before


def _decode_cursors(values: Mapping[bytes, bytes]) -> Iterator[tuple[str, int]]:
    for field, value in values.items():
        if field.startswith(CURSOR.encode()):
            yield _decode_name(field[len(CURSOR) :]), int(value)


def _decode_tombstone(values: Mapping[bytes, bytes]) -> Iterator[bytes]:
    field = b"x"
    number = 0
    while field in values:
        yield values[field]
        number += 1
        field = b"x%d" % number
