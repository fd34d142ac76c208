"""`ForeignSessions`: notices clients whose sessions belong to workers out of reach."""

from __future__ import annotations

import re
from collections.abc import Callable

from transport.telemetry.log import WARNING, log_event

LOG_INTERVAL = 3600.0
"""Seconds between two log lines."""

_is_session_id = re.compile(r"[0-9a-f]{12}[0-9A-Za-z_-]{12}").fullmatch


class ForeignSessions:
    """Warns of sessions that no worker of this server began.

    Args:
        ttl: seconds after the start in which clients of earlier workers may return.
        now: returns the seconds of the process's clock.
    """

    def __init__(self, ttl: float, now: Callable[[], float]) -> None:
        self._now = now
        self._silent_until = now() + ttl

    def seen(self, session_id: str) -> None:
        """Learn that a client has presented a session of this id."""
        now = self._now()
        if now < self._silent_until or not _is_session_id(session_id):
            return
        self._silent_until = now + LOG_INTERVAL
        log_event(
            WARNING,
            "foreign_session",
            "a client presented a session that no worker of this server began. Unless it was away "
            "since before the server started, its requests reach several servers, and each resets "
            'the sessions of the others. On one machine, let all share Workers("/run/app"); with '
            "several machines, use RedisStore",
        )
