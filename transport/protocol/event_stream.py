"""Encode and parse an event stream (FRM-1, SSE-1)."""

from __future__ import annotations

import re

from transport.protocol.frames import EncodedFrame

_LINE_END = re.compile(r"\r\n|\n|\r")
"""LF, CR or CRLF and nothing else: a frame may contain U+2028 (FRM-2)."""


class EventParser:
    """Parses one stream. The work is proportional to the size of the stream, however it is cut.

    It reads ``data:`` lines, and ignores other fields and comments, as the HTML standard requires.

    Args:
        limit: the characters of an incomplete event to keep.
    """

    __slots__ = ("_after_cr", "_data", "_limit", "_line", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line: list[str] = []
        """The parts of an incomplete line: joined only once it is complete."""
        self._data: list[str] = []
        self._size = 0
        """Characters in `_line` and `_data`."""
        self._after_cr = False
        """Whether the last chunk ended with a CR: an LF that follows belongs to it."""

    def feed(self, chunk: str) -> list[str]:
        """Return the data of each event that ``chunk`` completes.

        Raises:
            ValueError: an event is longer than the limit.
        """
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix("\n")
        self._after_cr = chunk.endswith("\r")
        events: list[str] = []
        first, *others = _LINE_END.split(chunk)
        self._line.append(first)
        self._size += len(first)
        for begun in others:
            self._end_line(events)
            self._line.append(begun)
            self._size += len(begun)
        if self._size > self._limit:
            raise ValueError(f"an event has more than {self._limit} characters")
        return events

    def _end_line(self, events: list[str]) -> None:
        line = "".join(self._line)
        self._line.clear()
        if line.startswith("data:"):
            self._data.append(line[5:].removeprefix(" "))
            return
        self._size -= len(line)
        if not line and self._data:
            events.append("\n".join(self._data))
            self._data.clear()
            self._size = 0


def encode_event(encoded: EncodedFrame) -> bytes:
    """Encode one frame as an event: a frame has no line breaks, so one ``data:`` line is enough."""
    if isinstance(encoded, bytes):  # pragma: no cover - a session writes no bytes on HTTP
        raise TypeError("an event stream has no binary frames")
    return b"data: " + encoded.encode() + b"\n\n"
