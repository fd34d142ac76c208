"""Encode and parse an event stream (FRM-1, SSE-1)."""

from __future__ import annotations

import re

from transport.protocol.frames import EncodedFrame

_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")
"""LF, CR or CRLF and nothing else: a frame may contain U+2028 (FRM-2). A CR at the end of a chunk
waits for the next chunk: it may be half of a CRLF."""


class EventParser:
    """Parses one stream.

    It reads ``data:`` lines, and ignores other fields and comments, as the HTML standard requires.

    Args:
        limit: the characters of an incomplete event to keep.
    """

    __slots__ = ("_data", "_limit", "_rest", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: str) -> list[str]:
        """Return the data of each event that ``chunk`` completes.

        Raises:
            ValueError: an event is longer than the limit.
        """
        events: list[str] = []
        *lines, self._rest = _LINE_END.split(self._rest + chunk)
        for line in lines:
            if line.startswith("data:"):
                self._data.append(line[5:].removeprefix(" "))
                self._size += len(line)
            elif not line and self._data:
                events.append("\n".join(self._data))
                self._data.clear()
                self._size = 0
        if self._size + len(self._rest) > self._limit:
            raise ValueError(f"an event has more than {self._limit} characters")
        return events


def encode_event(encoded: EncodedFrame) -> bytes:
    """Encode one frame as an event: a frame has no line breaks, so one ``data:`` line is enough."""
    if isinstance(encoded, bytes):  # pragma: no cover - a session writes no bytes on HTTP
        raise TypeError("an event stream has no binary frames")
    return b"data: " + encoded.encode() + b"\n\n"
