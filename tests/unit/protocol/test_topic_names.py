"""What a dismissal in a topic says."""

from __future__ import annotations

import msgspec
import pytest

from transport.protocol.topic_names import decode_dismissal, encode_dismissal


@pytest.mark.parametrize("subject", ["ann", "é", "\ud800", ""])
def test_dismissal_names_its_subject(subject: str) -> None:
    assert decode_dismissal(encode_dismissal(subject)) == subject


def test_field_of_a_later_release_is_ignored() -> None:
    later = msgspec.msgpack.encode({"subject": b"ann", "code": 1000})
    assert decode_dismissal(later) == "ann"


@pytest.mark.parametrize("payload", ["ann", b"", b"\x00", msgspec.msgpack.encode({"user": b"a"})])
def test_another_payload_is_no_dismissal(payload: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|truncated|malformed|Expected|missing|trailing"):
        decode_dismissal(payload)
