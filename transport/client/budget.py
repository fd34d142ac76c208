"""`Budget`: how many connections a client may begin. Pure: times are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(slots=True, eq=False)
class Place:
    """One attempt.

    Attributes:
        at: when it may be made.
        until: to then its place is not free again.
    """

    at: float
    until: float


class Budget:
    """Two attempts in any ``span``, whatever they are made for.

    Args:
        span: seconds. A little more than what is to be kept at the other end, as the network may
            hold up one attempt longer than the next.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._places = [Place(-inf, -inf), Place(-inf, -inf)]

    @property
    def free_at(self) -> float:
        """When the next place is free."""
        return min(place.until for place in self._places)

    def take(self, now: float) -> Place:
        """Take the next place."""
        first = min(self._places, key=lambda place: place.until)
        at = max(now, first.until)
        place = Place(at, at + self._span)
        self._places.remove(first)
        self._places.append(place)
        return place

    def over(self, place: Place, now: float) -> None:
        """The attempt has been answered, or has failed: until now it may have been on its way, in
        a program that is busy or with credentials that are slow to come."""
        place.until = max(place.until, now + self._span)
