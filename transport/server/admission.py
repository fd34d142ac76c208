"""`Admission`: limits how many sessions and opens are admitted (PROTOCOL.md section 12)."""

from __future__ import annotations

from collections import deque

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.telemetry.log import WARNING, log_event

LOG_INTERVAL = 60.0
"""Seconds between two log lines about the same limit, which is often reached many times."""


_OF_AN_ADDRESS = ("sessions_per_address", "opens_per_second")


class Admission:
    """Counts sessions and opens, so that no client can starve the others (section 12).

    An unknown address (``""``, as on a Unix socket) and the subject of guests are not counted.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._subjects: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._opens: dict[str, deque[float]] = {}
        self._logged_at: dict[str, float] = {}
        """When each limit was last logged."""

    def count_opening(self, address: str, now: float) -> None:
        """Count one ``open`` or renewal from an address.

        Raises:
            ProtocolError: ``too_many``, naming ``opens_per_second``.
        """
        if not address:
            return
        recent = self._opens.setdefault(address, deque())
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) >= self._limits.opens_per_second:
            raise self._too_many("opens_per_second", now, retry_in=1.0)
        recent.append(now)

    def count_session(self, subject: str, address: str, now: float) -> None:
        """Count a new session.

        Raises:
            ProtocolError: ``too_many``, naming the limit.
        """
        limits = self._limits
        if self._total >= limits.sessions:
            raise self._too_many("sessions", now)
        if subject and self._subjects.get(subject, 0) >= limits.sessions_per_subject:
            raise self._too_many("sessions_per_subject", now)
        if address and self._addresses.get(address, 0) >= limits.sessions_per_address:
            raise self._too_many("sessions_per_address", now)
        self._total += 1
        for counts, key in ((self._subjects, subject), (self._addresses, address)):
            if key:
                counts[key] = counts.get(key, 0) + 1

    def release_session(self, subject: str, address: str) -> None:
        """Stop counting a session that has ended."""
        self._total -= 1
        for counts, key in ((self._subjects, subject), (self._addresses, address)):
            if counts.get(key, 0) > 1:
                counts[key] -= 1
            else:
                counts.pop(key, None)

    def sweep(self, now: float) -> None:
        """Forget the addresses that opened nothing in the last second."""
        for address in [a for a, recent in self._opens.items() if recent[-1] <= now - 1.0]:
            del self._opens[address]

    def _too_many(self, limit: str, now: float, retry_in: float = 5.0) -> ProtocolError:
        text = f"the server's Limits({limit}={getattr(self._limits, limit)}) has been reached"
        if limit in _OF_AN_ADDRESS:
            text += (
                ". Behind a proxy all clients share its address, unless it sets X-Forwarded-For "
                "and the server trusts that"
            )
        if now - self._logged_at.get(limit, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._logged_at[limit] = now
            log_event(WARNING, "limit_reached", text, limit=limit)
        return ProtocolError(codes.TOO_MANY, text, limit=limit, retry_in=retry_in)
