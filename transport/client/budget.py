"""`RetryBudget`: how many connections a client may begin. Pure: times are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(slots=True, eq=False)
class Slot:
    """One attempt.

    Attributes:
        at: when it may be made.
        until: to then its slot is not free again.
    """

    at: float
    until: float


class RetryBudget:
    """Two attempts in any ``span``, whatever they are made for.

    Args:
        span: seconds. A little more than what is to be kept at the other end, as the network may
            hold up one attempt longer than the next.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._slots = [Slot(-inf, -inf), Slot(-inf, -inf)]

    @property
    def free_at(self) -> float:
        """When the next slot is free."""
        return min(slot.until for slot in self._slots)

    def acquire(self, now: float) -> Slot:
        """Take the next slot."""
        first = min(self._slots, key=lambda slot: slot.until)
        at = max(now, first.until)
        slot = Slot(at, at + self._span)
        self._slots.remove(first)
        self._slots.append(slot)
        return slot

    def release(self, slot: Slot, now: float) -> None:
        """The attempt has been answered, or has failed: until now it may have been on its way, in
        a program that is busy or with credentials that are slow to come."""
        slot.until = max(slot.until, now + self._span)
