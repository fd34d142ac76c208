"""`Seen`: the publications of one writer that a process has taken."""

from __future__ import annotations


class Seen:
    """Tells which publications of one writer are new. They need not come in order."""

    __slots__ = ("_above", "_settled")

    def __init__(self) -> None:
        self._settled = 0
        self._above: set[int] = set()

    def take(self, number: int, settled: int) -> bool:
        """Record a publication; return whether it is new.

        Args:
            number: of the publication.
            settled: the writer sends none up to this number again.
        """
        if settled > self._settled:
            if settled - self._settled < len(self._above):
                self._above.difference_update(range(self._settled + 1, settled + 1))
            else:
                self._above = {each for each in self._above if each > settled}
            self._settled = settled
        if number <= self._settled or number in self._above:
            return False
        self._above.add(number)
        return True

    def __len__(self) -> int:
        """Return how many numbers are kept."""
        return len(self._above)
