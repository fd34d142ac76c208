"""`Losses`: what a process knows of the entries that the log of a topic has lost."""

from __future__ import annotations

from transport.protocol.topic_log import Entry, Reading

MAX_UNPROVEN = 64
"""Gaps between two reads of which the beginning is remembered."""


class Losses:
    """The entries that one process has seen in a topic, and its store does not have any longer.

    Attributes:
        lost: the highest number of one; also of one that the store has dropped as old.
    """

    __slots__ = ("_unproven", "lost")

    def __init__(self) -> None:
        self.lost = 0
        self._unproven: list[int] = []
        """Numbers of entries that the log may have lost: those that came next did not follow."""

    def entered(self, entry: Entry, newest: int) -> None:
        """Learn of a new entry.

        Args:
            entry: the entry.
            newest: the number of the newest one before it that this process knows.
        """
        if entry.before < newest:
            self.lost = newest
        elif entry.before > newest > 0:
            self._unproven = [*self._unproven[-MAX_UNPROVEN:], newest]

    def ends(self, reading: Reading, newest: int) -> None:
        """Learn the last entry of the log.

        Args:
            reading: a read up to the end.
            newest: the number of the newest entry that this process knew when it was asked for.
        """
        if reading.last < newest:
            self.lost = max(self.lost, newest)

    def prove(self, after: int, reading: Reading) -> None:
        """Find out which of the entries that were known before a gap the log has lost.

        Args:
            after: the cursor above which was read.
            reading: what was read.
        """
        last = after
        for entry in reading.entries if self._unproven else ():
            lost = [each for each in self._unproven if entry.before < each < entry.number]
            self.lost = max([self.lost, *lost])
            last = entry.number
        self._unproven = [each for each in self._unproven if not after <= each <= last]
