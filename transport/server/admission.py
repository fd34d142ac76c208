"""`Admission`: limits how many sessions and opens are admitted (PROTOCOL.md section 12)."""

from __future__ import annotations

from collections import deque

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.telemetry.log import WARNING, log_event

LOG_INTERVAL = 60.0
"""Seconds between two log lines about the same limit, which is often reached many times."""


RESUMES_PER_SECOND = 4
"""Resumes and renewals of one session in a second that do not count as opens: clients make two
attempts in a second, and race two transports. So however many pages share the address of their
proxy, all of them can return at once."""

ONE_ADDRESS_SESSIONS = 100
"""If this many sessions have one address, and no other was ever seen, it is probably a proxy's."""

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
        self._resumes: dict[str, deque[float]] = {}
        self._only_address: str | None = ""
        """The only address that was ever seen, if any; None if there were several."""
        self._logged_at: dict[str, float] = {}
        """When each limit was last logged."""

    def count_opening(self, address: str, now: float, session_id: str = "") -> None:
        """Count one ``open`` or renewal from an address.

        Args:
            address: the client's.
            now: the seconds of the process's clock.
            session_id: the session that the client has proven to hold, if any. It has an allowance
                of its own.

        Raises:
            ProtocolError: ``too_many``, naming ``opens_per_second``.
        """
        if not address:
            return
        if session_id and _count(self._resumes, session_id, RESUMES_PER_SECOND, now):
            return
        if not _count(self._opens, address, self._limits.opens_per_second, now):
            raise self._too_many("opens_per_second", now, retry_in=1.0)

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
        if address and self._only_address is not None:
            self._watch_addresses(address, self._only_address)

    def _watch_addresses(self, address: str, only: str) -> None:
        """Log once if the server seems to see one address for all clients."""
        self._only_address = address if only in ("", address) else None
        sessions = self._addresses[address]
        if self._only_address is None or sessions < ONE_ADDRESS_SESSIONS:
            return
        self._only_address = None
        limits = self._limits
        log_event(
            WARNING,
            "one_address",
            "all clients seem to have one address, probably that of a proxy, so they share "
            f"Limits(sessions_per_address={limits.sessions_per_address}) and "
            f"Limits(opens_per_second={limits.opens_per_second}). Let the proxy set "
            "X-Forwarded-For and the server trust it (uvicorn --forwarded-allow-ips), or raise "
            "these limits",
            sessions=sessions,
        )

    def release_session(self, subject: str, address: str) -> None:
        """Stop counting a session that has ended."""
        self._total -= 1
        for counts, key in ((self._subjects, subject), (self._addresses, address)):
            if counts.get(key, 0) > 1:
                counts[key] -= 1
            else:
                counts.pop(key, None)

    def sweep(self, now: float) -> None:
        """Forget the addresses and sessions that opened nothing in the last second."""
        for counted in (self._opens, self._resumes):
            for key in [key for key, recent in counted.items() if recent[-1] <= now - 1.0]:
                del counted[key]

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


def _count(counted: dict[str, deque[float]], key: str, most: int, now: float) -> bool:
    """Count one event of ``key``, unless there were ``most`` in the last second."""
    recent = counted.setdefault(key, deque())
    while recent and recent[0] <= now - 1.0:
        recent.popleft()
    if len(recent) >= most:
        return False
    recent.append(now)
    return True
