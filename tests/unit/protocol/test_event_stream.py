"""The event stream's parser (SSE-1, FRM-2)."""

from __future__ import annotations

from typing import Any

import pytest

from transport.protocol import event_stream
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


def test_crlf_may_be_cut_anywhere() -> None:
    for end in ("\n", "\r", "\r\n"):
        stream = f"data: a{end}{end}data: b{end}data: c{end}{end}:{end}"
        for size in (1, 2, 3, 100):
            parser = EventParser(100)
            chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
            assert [one for chunk in ["", *chunks, ""] for one in parser.feed(chunk)] == [
                "a",
                "b\nc",
            ]


def test_ignored_lines_do_not_count_for_limit() -> None:
    parser = EventParser(100)
    for _ in range(100):
        assert parser.feed(": a comment that nobody reads\n") == []
    assert parser.feed("data: a\n\n") == ["a"]
    with pytest.raises(ValueError, match="more than 100"):
        parser.feed(":" * 101)


class Counter:
    """Counts the characters that a parser scans, joins and adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.characters = 0
        self._pattern = event_stream._LINE_END
        monkeypatch.setattr(event_stream, "_LINE_END", self)

    def split(self, text: str) -> list[str]:
        self.characters += len(text)
        return self._pattern.split(text)

    def chunk(self, text: str) -> str:
        counter = self

        class Chunk(str):
            __slots__ = ()

            def __add__(self, other: str) -> Any:
                counter.characters += len(self) + len(other)
                return Chunk(str.__add__(self, other))

            def __radd__(self, other: str) -> Any:
                counter.characters += len(self) + len(other)
                return Chunk(str.__add__(other, self))

        return Chunk(text)


def test_work_is_linear_in_size_of_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small its chunks are."""
    size, chunk = 1 << 17, 16
    counter = Counter(monkeypatch)
    parser = EventParser(2 * size)
    stream = "data: " + "x" * size + "\n\n"
    events: list[str] = []
    for at in range(0, len(stream), chunk):
        events += parser.feed(counter.chunk(stream[at : at + chunk]))
    assert events == ["x" * size]
    assert counter.characters <= 2 * len(stream)
