"""How much may wait for a process that reads slowly, or does not read."""

from __future__ import annotations

from collections.abc import Callable

MAX_UNREAD = 2**26
"""Bytes that may wait for a process that reads nothing for `STUCK_AFTER`. Then the pipe ends, like
one that is cut."""

STUCK_AFTER = 3.0
"""Seconds. A process that is only slow, as after a broadcast to many links, reads something."""

MOST_UNREAD = 2**29
"""Bytes that may wait in any case. Each link and call holds back what it sends."""


class Unread:
    """Watches what waits for one process.

    Args:
        now: returns the seconds of a clock.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._mark = (-1, 0.0)
        """Bytes that the other side had read when last it read any, and the time; while more than
        `MAX_UNREAD` wait."""

    def is_stuck(self, unread: int, read: int) -> bool:
        """Return whether the other side reads nothing, or far too little.

        Args:
            unread: bytes that wait.
            read: bytes that it has read so far.
        """
        if unread <= MAX_UNREAD:
            self._mark = (-1, 0.0)
            return False
        now = self._now()
        if read != self._mark[0]:
            self._mark = (read, now)
        return unread > MOST_UNREAD or now - self._mark[1] > STUCK_AFTER
