"""The event stream's parser (FRM-1, SSE-1): chunks of text in, the data of each event out."""

from __future__ import annotations

import re

_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")
"""LF, CR or CRLF and nothing else: U+2028 may stand in a frame (FRM-2). A CR that ends a chunk
waits for the next one: it may be half of a CRLF."""


class EventParser:
    """Reads one stream. It knows ``data:`` lines; other fields and comments are passed over, as the
    HTML standard says.

    Args:
        most: characters that are kept of an event that is not complete.
    """

    __slots__ = ("_data", "_most", "_rest", "_size")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: str) -> list[str]:
        """The data of each event that ``chunk`` completes.

        Raises:
            ValueError: an event is longer than what is kept.
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
        if self._size + len(self._rest) > self._most:
            raise ValueError(f"an event has more than {self._most} characters")
        return events
