"""`Copies`: publications that have become entries twice, because the store had lost the first."""

from __future__ import annotations

from transport.protocol.topic_log import Entry

MAX_WRITERS = 64
"""Writers of which the last publication is remembered, so that a copy of it can be told."""

MAX_COPIES = 64
"""Entries that are remembered as copies of earlier ones, for members that come later."""


class Copies:
    """Compares the entries of one topic that come to a process."""

    __slots__ = ("_copies", "_serials")

    def __init__(self) -> None:
        self._serials: dict[str, tuple[int, int]] = {}
        """Of each writer the highest serial, and the number under which it came first."""
        self._copies: dict[int, int] = {}
        """Numbers of copies, each with one from which on a member has the original."""

    def note(self, entry: Entry) -> None:
        """Remember a new entry, and whether it is a copy of an earlier one."""
        highest, number = self._serials.pop(entry.writer, (0, 0))
        if entry.serial <= highest:
            self._copies[entry.number] = number
            if len(self._copies) > MAX_COPIES:
                del self._copies[next(iter(self._copies))]
        else:
            highest, number = entry.serial, entry.number
        self._serials[entry.writer] = highest, number
        if len(self._serials) > MAX_WRITERS:
            del self._serials[next(iter(self._serials))]

    def has(self, entry: Entry, cursor: int) -> bool:
        """Return whether an entry is a copy of one that a member with this cursor has."""
        original = self._copies.get(entry.number)
        return original is not None and cursor >= original
