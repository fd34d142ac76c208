"""`Patience`: limits many short waits by one timer."""

from __future__ import annotations

import asyncio
from collections import deque

from transport.waiting import resolve


class Patience:
    """Resolves futures after a time that is the same for all of them, if nothing did so before.

    Nearly all waits end long before that: a timer for each would cost more than the wait.

    Args:
        loop: the event loop.
        seconds: the time.
    """

    __slots__ = ("_loop", "_seconds", "_timer", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        """Futures, and until when they may wait; in that order, as the time is the same for all."""

    def limit(self, waiter: asyncio.Future[None]) -> None:
        """Resolve ``waiter`` when its time is over."""
        until = self._loop.time() + self._seconds
        self._waiting.append((until, waiter))
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._expire)

    def _expire(self) -> None:
        """Resolve what has waited long enough, and wait for the next that still waits."""
        waiting, now = self._waiting, self._loop.time()
        while waiting and (waiting[0][0] <= now or waiting[0][1].done()):
            resolve(waiting.popleft()[1])
        self._timer = self._loop.call_at(waiting[0][0], self._expire) if waiting else None
