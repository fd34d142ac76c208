"""The messages that an application may send, and the limits on messages and frames.

The meaning of frames is in `tests/vectors/codec.json`.
"""

from __future__ import annotations

import datetime
import gc
import math
import sys
import tracemalloc
from typing import Any

import pytest

from transport.errors import ProtocolError, TooLarge, Unsendable
from transport.limits import Limits
from transport.protocol.codec import (
    Decoder,
    Oversized,
    decode_message,
    encode_control,
    encode_message,
    json_size,
    object_size,
    size_of,
)
from transport.protocol.frames import Ack, Data, Renew, ServerControl

LIMITS = Limits()
LARGEST = 2**53 - 1


def nested(depth: int, *, objects: bool = False) -> Any:
    """Return a value of that many nested arrays, or objects."""
    value: Any = {} if objects else []
    for _ in range(depth - 1):
        value = {"k": value} if objects else [value]
    return value


def refused(decoder: Decoder, wire: str | bytes) -> str:
    """Return the code with which a frame is refused."""
    with pytest.raises(ProtocolError) as caught:
        decoder.decode(wire)
    return caught.value.code.name


# Messages (DAT-3, DAT-4)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("", '""'),
        ("ü\u2028\n", '"ü\u2028\\n"'),
        (None, "null"),
        (True, "true"),
        (LARGEST, "9007199254740991"),
        (-LARGEST, "-9007199254740991"),
        (1.5, "1.5"),
        ((1, [2], {"k": (3,)}), '[1,[2],{"k":[3]}]'),
        (b"\x00\xff", b"\x00\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"ab"), b"ab"),
    ],
)
def test_sendable(message: object, payload: str | bytes) -> None:
    assert encode_message(message, LIMITS) == payload


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (math.nan, "JSON has no nan"),
        ([1, math.inf], "JSON has no inf"),
        ({"k": -math.inf}, "JSON has no -inf"),
        (LARGEST + 1, "beyond"),
        ([-LARGEST - 1], "beyond"),
        ({1, 2}, "set is not a JSON value"),
        (frozenset(), "frozenset is not a JSON value"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "datetime is not a JSON value"),
        (datetime.date(2026, 1, 1), "date is not a JSON value"),
        ({"k": object()}, "object is not a JSON value"),
        (1j, "complex is not a JSON value"),
        ({1: "x"}, "a key is int"),
        ({"k": [{None: 1}]}, "a key is NoneType"),
        (["x", b"y"], "a message of their own"),
        ({"k": bytearray(b"y")}, "a message of their own"),
        ("\ud800", "lone surrogate"),
        ({"k": "\udfff"}, "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else "",
)
def test_unsendable(message: object, why: str) -> None:
    with pytest.raises(Unsendable, match=why):
        encode_message(message, LIMITS)


@pytest.mark.parametrize("objects", [False, True])
def test_depth_of_what_is_sent(objects: bool) -> None:
    encode_message(nested(63, objects=objects), LIMITS)
    encode_message(nested(64, objects=objects), LIMITS)
    with pytest.raises(Unsendable, match="deeper"):
        encode_message(nested(65, objects=objects), LIMITS)


def test_a_cycle_is_too_deep() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(Unsendable, match="deeper"):
        encode_message(cycle, LIMITS)


@pytest.mark.parametrize(("unit", "size"), [("x", 1), ("ü", 2), ("€", 3), ("😀", 4)])
def test_sizes_are_those_of_utf8(unit: str, size: int) -> None:
    limits = Limits(message=10 * size + 2)
    assert size_of(encode_message(unit * 10, limits)) == 10 * size + 2
    with pytest.raises(TooLarge) as caught:
        encode_message(unit * 11, limits)
    assert (caught.value.size, caught.value.limit) == (11 * size + 2, 10 * size + 2)


def test_size_of_bytes() -> None:
    limits = Limits(message=10)
    assert size_of(encode_message(b"x" * 10, limits)) == 10
    with pytest.raises(TooLarge):
        encode_message(b"x" * 11, limits)


def test_json_size() -> None:
    assert json_size(["a", "üü", {"k": [1, 2]}]) == len('"a"') + len('"üü"'.encode()) + 11


# Frames


def test_a_frame_counts_its_messages_alone() -> None:
    """The sender's window and ours count the same bytes (DAT-6)."""
    text = '[10,7,"a","üü",{"k":[1,2]}]'
    frame = Decoder(LIMITS).decode(text)
    assert frame == Data(10, 7, ["a", "üü", {"k": [1, 2]}], 3 + 6 + 11, text)


@pytest.mark.parametrize("objects", [False, True])
def test_depth_of_what_is_received(objects: bool) -> None:
    """Brackets in strings, and siblings, do not count as depth."""
    decoder = Decoder(LIMITS)
    for depth in (63, 64):
        value = nested(depth, objects=objects)
        wire = f"[1,0,{encode_message(value, LIMITS)!s}]"
        assert decoder.decode(wire).messages == [value]
        wire = f'{{"type":"renew","credentials":{encode_message(value, LIMITS)!s}}}'
        assert decoder.decode(wire) == Renew(credentials=value)
    deep = encode_message(nested(65, objects=objects), Limits(depth=65))
    assert refused(decoder, f"[1,0,{deep!s}]") == "bad_frame"
    assert refused(decoder, f'{{"type":"renew","credentials":{deep!s}}}') == "bad_frame"
    assert decoder.decode(f'[1,0,"{"[" * 100}"]').messages == ["[" * 100]
    assert decoder.decode(f"[1,0,[{','.join(['[]'] * 100)}]]").messages == [[[]] * 100]


@pytest.mark.parametrize("most", [1, 2, 5, 6, 500])
def test_depth_of_other_limits_is_exact(most: int) -> None:
    """Data is decoded in one pass up to a depth, and in two beyond it."""
    decoder = Decoder(Limits(depth=most))
    for depth in (1, most):
        assert decoder.decode(f"[1,0,{nested(depth)}]").messages == [nested(depth)]
    assert refused(decoder, f"[1,0,{nested(most + 1)}]") == "bad_frame"


@pytest.mark.parametrize("last", [2**53, -(2**53)])
def test_deep_message_with_large_integer_is_refused(last: int) -> None:
    """DAT-3: what is nested too deep for one pass is searched in a second."""
    decoder = Decoder(Limits())
    deep = "[" * 30 + '"text",null,1.5,true,%d' + "]" * 30
    assert decoder.decode(f"[1,0,{deep % 7}]").seq == 1
    assert refused(decoder, f"[1,0,{deep % last}]") == "bad_frame"


def test_many_brackets_are_not_depth() -> None:
    """FRM-3: what is counted first is only a suspicion."""
    credentials: list[Any] = [[]] * (LIMITS.depth + 2)
    wire = encode_control(Renew(credentials=credentials))
    assert Decoder(LIMITS).decode(wire) == Renew(credentials=credentials)


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_depth_never_recurses(depth: int) -> None:
    decoder = Decoder(Limits(message=1_000_000))
    assert refused(decoder, f"[1,0,{'[' * depth}{']' * depth}]") == "bad_frame"
    wire = f'{{"type":"renew","credentials":{"[" * depth}{"]" * depth}}}'
    assert refused(decoder, wire) == "bad_frame"


def test_body_bounds_a_frame() -> None:
    """In bytes of UTF-8, for text and binary frames."""
    decoder = Decoder(Limits(message=30))
    room = 1064 - len('[1,0,""]')
    assert isinstance(decoder.decode(f'[1,0,"{"x" * room}"]'), Oversized)
    assert refused(decoder, f'[1,0,"{"x" * (room + 1)}"]') == "too_large"
    assert refused(decoder, f'[1,0,"{"ü" * room}"]') == "too_large"
    head = (1).to_bytes(8, "big") + bytes(8)
    assert isinstance(decoder.decode(head + bytes(1064)), Oversized)
    assert refused(decoder, head + bytes(1065)) == "too_large"


def test_oversized() -> None:
    """The messages before it are received, and counted alone (DAT-4)."""
    decoder = Decoder(Limits(message=10))
    assert decoder.decode('[5,3,"a",{"k":1},"123456789","z"]') == Oversized(
        Data(5, 3, ["a", {"k": 1}], 10, '["a",{"k":1}]'), 7
    )
    assert decoder.decode('[5,3,"12345678","12345678"]').messages == ["12345678"] * 2
    assert decoder.decode('[5,3,"üüüüü"]') == Oversized(Data(5, 3, [], 0, "[]"), 5)


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer's memory would be counted too")
@pytest.mark.parametrize(
    "item",
    [
        *("[]", "{}", "[0]", "[[]]", '{"":0}', '{"":{}}', '{"a":1,"b":2}', '""', '"ab"', "1.5"),
        *("999", "true", '{"id":123,"name":"alice","at":1.5}', '"é"', '"x😀"'),
        '"x\\ud83d\\ude00"',
    ],
)
def test_object_size_is_an_upper_bound(item: str) -> None:
    """And within a small factor of it, so that ordinary messages are not overrated."""
    text = f"[{','.join([item] * 2000)}]".encode()
    gc.collect()
    tracemalloc.start()
    try:
        value = decode_message(text)
        actual = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(value) == 2000
    assert actual <= object_size(text) <= actual * 5 + 64 * 2000


def test_batch_bounds_a_frame() -> None:
    decoder = Decoder(Limits(batch=5))
    assert len(decoder.decode("[1,0,1,2,3,4,5]").messages) == 5
    assert refused(decoder, "[1,0,1,2,3,4,5,6]") == "too_many"


def test_numbers_end() -> None:
    assert refused(Decoder(LIMITS), f"[{LARGEST},0,1,2]") == "bad_number"


@pytest.mark.parametrize("wire", ["[1]", "[0,0,1]"])
def test_data_refusal_names_number_as_documents_do(wire: str) -> None:
    with pytest.raises(ProtocolError, match="number") as caught:
        Decoder(LIMITS).decode(wire)
    assert "seq" not in str(caught.value)


def test_text_that_utf8_cannot_carry() -> None:
    """A server may pass on lone surrogates: only our own exception is raised."""
    assert refused(Decoder(LIMITS), '[1,0,"\ud800"]') == "bad_json"


@pytest.mark.parametrize(
    "wire",
    [
        f"[1,0,{'9' * 5000}]",
        "[1,0,1e400]",
        "\ufeff[1,0,1]",
        '[1,0,"\\ud800"]',
        '{"type":"ack","ack":1}{"type":"ack","ack":1}',
    ],
)
def test_what_json_readers_disagree_about(wire: str) -> None:
    assert refused(Decoder(LIMITS), wire) == "bad_json"


@pytest.mark.parametrize(
    ("field", "value"), [("code", 999), ("code", 1002), ("code", 1005), ("code", 5000)]
)
def test_close_codes(field: str, value: int) -> None:
    """CLS-9."""
    frame = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0}
    decoder = Decoder(LIMITS)
    assert refused(decoder, str(encode_message(frame | {field: value}, LIMITS))) == "bad_frame"
    assert (
        refused(decoder, str(encode_message(frame | {"reason": "ü" * 62}, LIMITS))) == "bad_frame"
    )
    for code in (1000, 1001, 1008, 1011, 1012, 1013, 1014, 3000, 4999):
        wire = str(encode_message(frame | {"code": code, "reason": "x" * 123}, LIMITS))
        assert decoder.decode(wire).code == code


# Bodies (FRM-2, SND-1, SND-3)


def lines(body: bytes, limits: Limits = LIMITS) -> list[Any]:
    """Return the frames of a body, with each error as its code."""
    frames = Decoder(limits).decode_lines(body)
    return [one.code.name if isinstance(one, ProtocolError) else one for one in frames]


def test_lines() -> None:
    ack = Ack(ack=1)
    one = b'{"type":"ack","ack":1}'
    assert lines(one) == [ack]
    assert lines(one + b"\n") == [ack]
    assert lines(one + b"\n" + one) == [ack, ack]
    assert lines(b"") == ["bad_json"]
    assert lines(one + b"\n\n") == [ack, "bad_json"]
    assert lines(one + b"\r\n" + one) == ["bad_json"]
    assert lines(b"[1,0]\n" + one) == ["bad_frame"]
    assert lines('[1,0,"a\u2028b\u0085c"]\n'.encode())[0].messages == ["a\u2028b\u0085c"]


def test_too_many_lines() -> None:
    limits = Limits(batch=5)
    assert len(lines(b"[1,0,1]\n" * 5, limits)) == 5
    with pytest.raises(ProtocolError, match="too_many"):
        lines(b"[1,0,1]\n" * 5 + b"[1,0,1]", limits)


def test_a_body_that_is_not_utf8() -> None:
    with pytest.raises(ProtocolError, match="bad_json"):
        lines(b'[1,0,"\xff"]')


# Names (OPN-3)


@pytest.mark.parametrize(
    ("field", "value", "good"),
    [
        ("client", "a" * 16, True),
        ("client", "Az09_-" + "x" * 58, True),
        ("client", "a" * 15, False),
        ("client", "a" * 65, False),
        ("client", "a" * 16 + "\u00e9", False),
        ("client", "a" * 16 + "\n", False),
        ("client", "a" * 15 + "/", False),
        ("client", 7, False),
        ("nonce", "a" * 22, True),
        ("nonce", "a" * 64, True),
        ("nonce", "a" * 21, False),
        ("nonce", "a" * 65, False),
        ("nonce", "a" * 21 + "+", False),
        ("session", "a" * 128, True),
        ("session", "a" * 129, False),
        ("session", "", False),
    ],
)
def test_names(field: str, value: object, good: bool) -> None:
    frame = {
        "type": "open",
        "versions": [1],
        "client": "a" * 16,
        "nonce": "a" * 22,
        "attach": 1,
        "received": 0,
        "first_retained": 1,
        field: value,
    }
    decoder = Decoder(LIMITS)
    wire = str(encode_message(frame, LIMITS))
    if good:
        assert getattr(decoder.decode(wire), field) == value
    else:
        assert refused(decoder, wire) == "bad_frame"


@pytest.mark.parametrize("lost", ["[1]", "[1,2,3]"])
def test_what_was_lost_is_a_range(lost: str) -> None:
    """RES-2."""
    reset = f'{{"type":"reset","reason":"expired","lost":{lost},"handled":0,"in_hand":0}}'
    assert refused(Decoder(LIMITS, ServerControl), reset) == "bad_frame"
