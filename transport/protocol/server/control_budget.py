"""`ControlBudget`: a number of frames per second. Pure: the caller passes the time."""

from __future__ import annotations


class ControlBudget:
    """A budget of one second: that many frames at once, or spread over a second.

    Args:
        per_second: the number of frames.
    """

    __slots__ = ("_interval", "_paid_until")

    def __init__(self, per_second: int) -> None:
        self._interval = 1 / per_second
        self._paid_until = 0.0
        """When the frames so far would have come at the permitted rate."""

    def spend(self, now: float) -> bool:
        """Count one frame, and return whether it is within the budget."""
        paid_until = max(self._paid_until, now)
        if paid_until - now > 1 - self._interval / 2:  # half of a frame: sums are inexact
            return False
        self._paid_until = paid_until + self._interval
        return True
