"""The messages of a campaign have the documented properties."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.support.messages import LARGEST, numbered, same
from transport import Limits
from transport.protocol.codec import encode_message, size_of

MESSAGES = [numbered(index) for index in range(1, 10_001)]


def test_messages_cover_unicode() -> None:
    found = {
        character
        for one in MESSAGES
        if isinstance(one, dict)
        for character in str(one.get("unicode", ""))
    }
    assert found == {chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF}


def test_messages_cover_sizes_and_values_of_bytes() -> None:
    found = [one for one in MESSAGES if isinstance(one, bytes)]
    assert {*range(257), 2**17 - 1, 2**18 - 1, LARGEST} <= {len(one) for one in found}
    assert set().union(*found) == set(range(256))


def test_messages_include_largest_of_each_kind() -> None:
    sizes = [size_of(encode_message(one, Limits())) for one in MESSAGES]
    assert max(sizes) == LARGEST
    largest = [
        type(one).__name__ for one, size in zip(MESSAGES, sizes, strict=True) if size == LARGEST
    ]
    assert [largest.count(kind) for kind in ("str", "bytes", "dict")] == [4, 3, 3]


def test_neighbouring_messages_differ() -> None:
    assert not any(same(one, other) for one, other in pairwise(MESSAGES))


@pytest.mark.parametrize(
    ("due", "message"),
    [
        ("a", b"a"),
        (b"a", bytearray(b"a")),
        (1, 1.0),
        (1, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([0.0], [-0.0]),
        ("\u00e9", "e\u0301"),
    ],
)
def test_same_tells_similar_values_apart(due: object, message: object) -> None:
    assert same(due, due)
    assert not same(due, message)
