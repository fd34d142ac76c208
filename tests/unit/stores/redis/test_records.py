"""Sessions as fields and elements, and back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from transport.protocol.journal import Image
from transport.stores.names import shorten
from transport.stores.redis.records import (
    Value,
    decode_birth,
    decode_image,
    encode_birth,
    encode_fields,
    encode_payloads,
)

LARGEST = 2**53 - 1

IMAGE = Image(
    home="0123456789ab",
    subject="ann",
    token=bytes(range(224, 256)),
    hub="app:chat",
    born=1_796_057_013_291_054,
    seen=1_796_057_013_291,
    run="r" * 16,
    epoch="e" * 16,
    holder="client0123456789",
)

FULL = replace(
    IMAGE,
    fence=LARGEST,
    version=LARGEST,
    subject="s" * 44,
    hub="h" * 44,
    epoch_first=LARGEST,
    epoch_before="b" * 16,
    wraps=True,
    handled=LARGEST,
    acked=LARGEST - 4,
    last=LARGEST,
    confirmed=LARGEST,
    holder="h" * 64,
    partial=3,
    trials=2,
    closing=b'["close",1000,"bye"]\xff\0',
    cursors={"t" * 44: LARGEST, "": 1, "é": 2},
    payloads=('"text"', b"bytes", b"", '"\U0001f600"'),
    tombstone=bytes(range(256)),
)


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _stored(image: Image) -> tuple[list[bytes], list[bytes]]:
    return [*map(_bytes, encode_fields(image))], encode_payloads(image.payloads)


@pytest.mark.parametrize("image", [IMAGE, FULL, replace(IMAGE, home="", subject="\ud800")])
def test_image_comes_back_as_it_was_stored(image: Image) -> None:
    fields, log = _stored(image)
    assert decode_image(fields, log) == image
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    assert decode_image(pairs, log) == image


def test_field_of_a_later_release_is_ignored() -> None:
    fields, log = _stored(FULL)
    assert decode_image([*fields, b"later", b"1"], log) == FULL


def test_long_names_come_back_shortened() -> None:
    name = "x" * 45
    fields, log = _stored(replace(IMAGE, subject=name, hub=name, cursors={name: 7}))
    short = shorten(name)
    assert decode_image(fields, log) == replace(IMAGE, subject=short, hub=short, cursors={short: 7})


def test_fields_are_as_small_as_redis_packs() -> None:
    """But for the frame of a session that is closing, which lasts for seconds."""
    fields, _ = _stored(replace(FULL, closing=b""))
    assert max(map(len, fields)) <= 64
    assert len(fields) // 2 <= 30
    assert len(set(fields[::2])) == len(fields) // 2


def test_record_of_another_layout_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no field b'p'"):
        decode_image([b"x", b"y", b"e", b"z"])


def test_birth_comes_back_as_it_was_stored() -> None:
    assert decode_birth(encode_birth("r" * 40, 1_796_057_013_291).encode()) == (
        "r" * 40,
        1_796_057_013_291,
    )
