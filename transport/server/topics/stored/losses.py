"""`Losses`: what a process knows of the entries that the log of a topic has lost."""

from __future__ import annotations

from bisect import bisect
from collections import deque

from transport.protocol.topic_log import Entry, Reading

MAX_UNPROVEN = 64
"""Gaps between two reads of which the beginning is remembered."""

MAX_SEAMS = 16
"""Places at which the log may have lost an entry that this process has not seen."""

NEWS_FOR = 60_000_000
"""Microseconds after which an entry has reached every process, also one that was cut off, and no
writer sends it again. The life of a topic is longer: one that has expired has lost nothing."""


class Losses:
    """The entries that one process has seen in a topic, and its store does not have any longer.

    Attributes:
        lost: the highest number of one; also of one that the store has dropped as old.
        untold: the highest number of a recent one of which no entry has told; 0 for none. Members
            in other processes may have missed it.
    """

    __slots__ = ("_read", "_seams", "_since", "_unproven", "lost", "untold")

    def __init__(self) -> None:
        self.lost = 0
        self.untold = 0
        self._since = 0
        """What members had when the subscription began: the log may be another since."""
        self._read: dict[int, int] = {}
        """While a log is read in parts: of the entries that were read, the ones before them."""
        self._seams: deque[tuple[int, int]] = deque(maxlen=MAX_SEAMS)
        """Pairs of numbers: members went on from the first to the second, and the log has had no
        entry between them, or has lost it."""
        self._unproven: list[int] = []
        """Numbers of entries that the log may have lost: those that came next did not follow."""

    def subscribed(self, cursor: int) -> None:
        """Learn that a subscription begins, when members have everything up to a cursor."""
        self._since = cursor
        self._read.clear()

    def passed(self, entry: Entry, cursor: int) -> None:
        """Learn that members go on to an entry.

        Args:
            entry: the entry, of which they have missed nothing as far as is known.
            cursor: what they had before.
        """
        if entry.before <= max(self._since, cursor - 1):
            self._add_seam(max(cursor, entry.before), entry.number)

    def entered(self, entry: Entry, newest: int) -> None:
        """Learn of a new entry.

        Args:
            entry: the entry.
            newest: the number of the newest one before it that this process knows.
        """
        self.passed(entry, newest)
        if entry.before < newest:
            self._lose(newest, entry.number)
        elif entry.before > newest > 0:
            self._unproven = [*self._unproven[-MAX_UNPROVEN:], newest]
        if entry.before < self.untold <= entry.known or self.untold == entry.known:
            self.untold = 0

    def missed(self, known: int) -> int:
        """Return the number of the entry to which members went on without one that was lost.

        Args:
            known: the number of an entry that the log has had.

        Returns:
            0 if this process knows of no such members.
        """
        return next((after for before, after in self._seams if before < known < after), 0)

    def ends(self, reading: Reading, newest: int) -> None:
        """Learn the last entry of the log.

        Args:
            reading: a read up to the end.
            newest: the number of the newest entry that this process knew when it was asked for.
        """
        if reading.last < newest:
            self._lose(newest, reading.now)

    def prove(self, after: int, reading: Reading) -> None:
        """Find out which entries the log has lost: of those that were known before a gap, and of
        those of which an entry tells.

        Args:
            after: the cursor above which was read.
            reading: what was read.
        """
        self._compare_known(reading)
        last = after
        for entry in reading.entries if self._unproven else ():
            lost = [each for each in self._unproven if entry.before < each < entry.number]
            self.lost = max([self.lost, *lost])
            last = entry.number
        self._unproven = [each for each in self._unproven if not after <= each <= last]

    def _lose(self, number: int, now: int) -> None:
        self.lost = max(self.lost, number)
        if 0 <= now - number <= NEWS_FOR:
            self.untold = number

    def _add_seam(self, before: int, after: int) -> None:
        if (before, after) not in self._seams:
            self._seams.append((before, after))

    def _compare_known(self, reading: Reading) -> None:
        """Find the places in the log at which an entry is missing that a later one tells of."""
        self._read |= {entry.number: entry.before for entry in reading.entries}
        numbers = sorted(self._read)
        for known in {entry.known for entry in reading.entries}:
            after = numbers[bisect(numbers, known)]  # the one that tells it, at the latest
            if numbers[0] < known and self._read[after] < known:
                self._add_seam(self._read[after], after)
        if not reading.has_more:
            self._read.clear()
