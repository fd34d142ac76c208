"""`Seen`: the publications of one writer that a process has taken."""

from __future__ import annotations

_FIRST_PRUNING = 16


class Seen:
    """Tells which publications of one writer are new.

    Those of one topic come in order, but for repetitions. What is below one that was taken is a
    repetition too, or older than this process.
    """

    __slots__ = ("_highest", "_prune_at", "_settled")

    def __init__(self) -> None:
        self._settled = 0
        self._highest: dict[bytes, int] = {}
        """Of each topic with publications that are not settled; some others too."""
        self._prune_at = _FIRST_PRUNING
        """The length at which the others are removed."""

    def take(self, topic: bytes, number: int, settled: int) -> bool:
        """Record a publication; return whether it is new.

        Args:
            topic, number, settled: see `Publish`.
        """
        self._settled = max(self._settled, settled)
        if number <= self._settled or number <= self._highest.get(topic, 0):
            return False
        self._highest[topic] = number
        if len(self._highest) >= self._prune_at:
            self._highest = {
                each: highest for each, highest in self._highest.items() if highest > self._settled
            }
            self._prune_at = max(_FIRST_PRUNING, 2 * len(self._highest))
        return True

    def __len__(self) -> int:
        """Return how many topics are kept."""
        return len(self._highest)
