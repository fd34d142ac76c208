"""The two ends of a direction: `SendBuffer` and `ReceiveWindow`."""

from __future__ import annotations

import json

import pytest

from transport.errors import ForeignAck, Gap, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Payload, encode_message, encode_sized, size_of
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer


def filled(*messages: object, limits: Limits | None = None) -> SendBuffer:
    limits = limits or Limits()
    buffer = SendBuffer(limits)
    for message in messages:
        buffer.append(*encode_sized(message, limits))
    return buffer


# Sending


def test_views_are_no_removal() -> None:
    """NUM-4."""
    buffer = filled("a", "b", "c")
    assert buffer.frames(1, 0, binary=True) == ['[1,0,"a","b","c"]']
    assert buffer.frames(1, 5, binary=True) == ['[1,5,"a","b","c"]']
    assert buffer.frames(3, 0, binary=True) == ['[3,0,"c"]']
    assert buffer.frames(4, 0, binary=True) == []
    buffer.acknowledge(2)
    assert buffer.frames(3, 0, binary=True) == ['[3,0,"c"]']
    assert (buffer.acked, buffer.last, buffer.sent, buffer.size) == (2, 3, 3, 3)


def test_acknowledge() -> None:
    """MRK-4, MRK-5."""
    buffer = filled("a", "b")
    with pytest.raises(ForeignAck):
        buffer.acknowledge(1)  # not written yet
    buffer.frames(1, 0, binary=True)
    assert buffer.acknowledge(1)
    assert not buffer.acknowledge(1)
    assert not buffer.acknowledge(0)
    with pytest.raises(ForeignAck):
        buffer.acknowledge(3)
    buffer.check_ack(2)
    assert buffer.acked == 1


def test_room() -> None:
    """DAT-6: an empty window takes any message."""
    limits = Limits(message=10, window_bytes=20, window_messages=3)
    buffer = filled(limits=limits)
    assert buffer.has_room(1000)
    buffer.append(b"x" * 10, 10)
    assert buffer.has_room(10)
    assert not buffer.has_room(11)
    buffer.append(b"x", 1)
    buffer.append(b"x", 1)
    assert not buffer.has_room(1)
    buffer.frames(1, 0, binary=True)
    buffer.acknowledge(1)
    assert buffer.has_room(1)
    assert buffer.size == 2


def test_excess_of_wide_text() -> None:
    """A str of Python takes four bytes for each character if one of them is an emoji."""
    wide = "😀" + "x" * 1000
    buffer = filled("x" * 1000, b"\xff" * 1000, "é" + "x" * 1000, "日" * 1000)
    assert buffer.excess < 200
    buffer.append(*encode_sized(wide, Limits()))
    buffer.append(*encode_sized(wide, Limits()))
    assert 2 * 3000 <= buffer.excess <= 2 * 3000 + 400
    buffer.frames(1, 0, binary=False)
    buffer.acknowledge(5)
    assert 3000 <= buffer.excess <= 3200
    buffer.acknowledge(6)
    assert (buffer.size, buffer.excess) == (0, 0)


def test_clear_keeps_marks() -> None:
    buffer = filled("a", b"b", "c")
    buffer.frames(1, 0, binary=True)
    buffer.acknowledge(1)
    buffer.clear()
    assert (buffer.acked, buffer.last, buffer.sent, buffer.size) == (1, 3, 3, 0)
    assert buffer.acknowledge(3)


def test_batches_by_count() -> None:
    buffer = filled(*range(1, 12), limits=Limits(batch=5))
    frames = ["[1,0,1,2,3,4,5]", "[6,0,6,7,8,9,10]", "[11,0,11]"]
    assert buffer.frames(1, 0, binary=False) == frames


@pytest.mark.parametrize("message", [12, 100, 262_144])
@pytest.mark.parametrize("unit", ["x", "ü", "😀"])
def test_no_frame_is_beyond_the_body(message: int, unit: str) -> None:
    """A peer with our limits can read all frames, whatever the batch."""
    limits = Limits(message=message, window_bytes=max(message, 5000), batch=100_000)
    texts = ["", *(unit * (message // 2 // len(unit.encode()) - 2) for _ in range(3))]
    payloads: list[Payload] = [encode_message(text, limits) for text in texts]
    payloads += ["1"] * 2000
    buffer = SendBuffer(limits)
    for payload in payloads:
        buffer.append(payload, size_of(payload))
    wires = buffer.frames(1, 2**53 - 1, binary=True)
    numbers = 0
    for wire in wires:
        assert isinstance(wire, str)
        assert len(wire.encode()) <= limits.body
        seq, _, *messages = json.loads(wire)
        assert seq == numbers + 1
        numbers += len(messages)
    assert numbers == len(payloads)


def test_bytes_stand_alone() -> None:
    """DAT-2."""
    buffer = filled("a", b"\x01\x02", b"", "b")
    head = [(n).to_bytes(8, "big") + (7).to_bytes(8, "big") for n in (2, 3)]
    assert buffer.frames(1, 7, binary=True) == [
        '[1,7,"a"]',
        head[0] + b"\x01\x02",
        head[1],
        '[4,7,"b"]',
    ]
    assert buffer.frames(2, 7, binary=False) == [
        '{"type":"bytes","number":2,"ack":7,"data":"AQI="}',
        '{"type":"bytes","number":3,"ack":7,"data":""}',
        '[4,7,"b"]',
    ]
    buffer.acknowledge(3)
    assert buffer.frames(4, 7, binary=True) == ['[4,7,"b"]']


# Receiving


def test_repeated() -> None:
    """NUM-3."""
    window = ReceiveWindow(Limits())
    window.take(3, 30)
    assert [window.repeated(seq, 2) for seq in (1, 2, 3, 4)] == [2, 2, 1, 0]
    with pytest.raises(Gap) as caught:
        window.repeated(5, 2)
    assert caught.value.extra == {"expected": 4}


def test_refused() -> None:
    """DAT-4, DAT-5: the messages after it are dropped until its number is used."""
    window = ReceiveWindow(Limits())
    with pytest.raises(Gap):
        window.refuse(2)
    assert window.refuse(1)
    assert window.refuse(1)
    assert not window.refuse(2)
    assert window.repeated(2, 5) == 5
    assert window.received == 0
    window.take(1, 0)
    assert not window.refuse(1)
    with pytest.raises(Gap):
        window.repeated(3, 1)


def test_marks() -> None:
    """MRK-1, MRK-2."""
    window = ReceiveWindow(Limits())
    window.take(2, 2)
    window.delivered += 1
    assert (window.received, window.delivered, window.handled) == (2, 1, 0)
    window.mark_handled()
    assert (window.received, window.delivered, window.handled) == (2, 1, 1)


def test_window() -> None:
    """DAT-6; some bytes beyond it are tolerated, as encodings of JSON differ in length."""
    limits = Limits(message=10, window_bytes=1000, window_messages=5)
    window = ReceiveWindow(limits)
    window.take(1, 1000)
    window.take(1, limits.body)
    with pytest.raises(ProtocolError) as caught:
        window.take(1, 1)
    assert caught.value.extra == {"limit": "window_bytes"}
    assert window.received == 2
    window.delivered += 1
    window.mark_handled()
    window.take(4, 1000)
    with pytest.raises(ProtocolError) as caught:
        window.take(1, 0)
    assert caught.value.extra == {"limit": "window_messages"}
    assert window.received == 6
