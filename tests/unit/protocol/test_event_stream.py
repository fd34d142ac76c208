"""The event stream's parser (SSE-1, FRM-2)."""

from __future__ import annotations

import pytest

from transport.protocol.event_stream import EventParser, encode_event

STREAM = (
    'data: [1,0,"a"]\n\n'
    "data:{}\r\n\r\n"
    ": a comment\nevent: x\nid: 1\nretry: 5\ndata\n\n"
    "data: two\rdata:  lines\r\r"
    'data: "\u2028\u0085"\n\n'
    "data: never ended\n"
)
EVENTS = ['[1,0,"a"]', "{}", "two\n lines", '"\u2028\u0085"']


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_however_it_is_cut(size: int) -> None:
    parser = EventParser(1000)
    chunks = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_what_is_kept_is_bounded() -> None:
    parser = EventParser(100)
    for _ in range(10):
        assert parser.feed("data: " + "x" * 90 + "\n\n") == ["x" * 90]
    with pytest.raises(ValueError, match="more than 100"):
        parser.feed("data: " + "x" * 100)
    parser = EventParser(100)
    with pytest.raises(ValueError, match="more than 100"):
        parser.feed("data: x\n" * 20)


def test_encoded_event_is_parsed_again() -> None:
    """SSE-1: even a frame with characters that end a line in other formats."""
    frame = '[1,0,"a\u2028b"]'
    assert EventParser(100).feed(encode_event(frame).decode()) == [frame]
