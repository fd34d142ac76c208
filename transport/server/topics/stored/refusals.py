"""`Refusals`: what a store refuses for so long that an operator must know."""

from __future__ import annotations

import asyncio
import math

from transport.stores.topics.wire import Refused
from transport.telemetry.log import ERROR, log_event

TOLD_AFTER = 10.0
"""Seconds for which a store refuses: one that has just started, or is being replaced, refuses for
less. (One that does not answer at all is told by what keeps the sessions.)"""


class Refusals:
    """Tells once, for one connection, that a store goes on to refuse what it is asked."""

    def __init__(self) -> None:
        self._since = math.inf
        self._is_told = False

    def failed(self, error: Exception) -> None:
        """Learn that the connection has failed."""
        if not isinstance(error, Refused):
            return
        now = asyncio.get_running_loop().time()
        self._since = min(self._since, now)
        if now - self._since >= TOLD_AFTER and not self._is_told:
            self._is_told = True
            log_event(
                ERROR,
                "topics_refused",
                "the store refuses what this process needs to receive for groups, broadcasts and "
                f"close_user, so that its channels do not get them: {error}",
            )

    def worked(self) -> None:
        """Learn that the store has answered."""
        self._since, self._is_told = math.inf, False
