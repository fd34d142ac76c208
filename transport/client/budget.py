"""`RetryBudget`: limits how often a client starts a connection. Pure: times are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(slots=True, eq=False)
class Slot:
    """The slot of one attempt.

    Attributes:
        at: when the attempt may be made.
        until: when the slot is free again.
    """

    at: float
    until: float


MAX_SPAN = 1.25
"""Seconds. A little more than the second in which the server should see two attempts at most, as
the network may delay one attempt longer than the next."""


def budget_span(retry_base: float) -> float:
    """Return the seconds in which two attempts are allowed, given `Pacing.retry_base`."""
    return min(MAX_SPAN, 2.5 * retry_base)


class RetryBudget:
    """Allows two attempts in any ``span``, whatever their purpose.

    Args:
        span: seconds; see `budget_span`.

    Attributes:
        span: see above.
    """

    def __init__(self, span: float) -> None:
        self.span = span
        self._slots = [Slot(-inf, -inf), Slot(-inf, -inf)]

    @property
    def free_at(self) -> float:
        """When the next slot is free."""
        return min(slot.until for slot in self._slots)

    def acquire(self, now: float) -> Slot:
        """Return the next slot; the caller makes its attempt at `Slot.at`."""
        first = min(self._slots, key=lambda slot: slot.until)
        at = max(now, first.until)
        slot = Slot(at, at + self.span)
        self._slots.remove(first)
        self._slots.append(slot)
        return slot

    def release(self, slot: Slot, now: float) -> None:
        """Start the span of ``slot`` at ``now``: its attempt was answered, or has failed.

        Until then it may not have left: the program may be busy, or the credentials slow.
        """
        slot.until = max(slot.until, now + self.span)
