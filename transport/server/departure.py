"""`Departure`: sends the clients of a process that stops to others, one after the other.

A client is away for as long as it takes to connect again. If all were sent away at the same time,
each would also wait for all others. So each stays connected, and is served, until its turn comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

CLIENTS_PER_SECOND = 40.0
"""By measurement, two slow cores that run everything, the clients too, take in about 50 a second.
If more leave, they wait for each other."""

INTERVAL = 0.02
"""Seconds between two turns; several clients leave in one if there are many."""


class Departure:
    """Calls a function for each client, in turns. The first one leaves at once.

    Args:
        loop: the running event loop.
        clients: each sends a client away. For one that has left meanwhile it does nothing.
        most: seconds that the departure may take.
        on_end: called after the last one.

    Attributes:
        seconds: how long it takes.
        is_hurried: whether the last clients left all at the same time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clients: Iterable[Callable[[], None]],
        most: float,
        on_end: Callable[[], None],
    ) -> None:
        self._waiting = deque(clients)
        self._count = len(self._waiting)
        self.seconds = min(most, self._count / CLIENTS_PER_SECOND)
        self._loop = loop
        self._began = loop.time()
        self._on_end = on_end
        self.is_hurried = False
        self._timer: asyncio.Handle = loop.call_soon(self._turn)

    def _turn(self) -> None:
        elapsed = self._loop.time() - self._began
        share = elapsed / self.seconds if elapsed < self.seconds else 1.0
        stay = self._count - 1 - int(self._count * share)
        while len(self._waiting) > stay and self._waiting:
            self._waiting.popleft()()
        if self._waiting:
            self._timer = self._loop.call_later(INTERVAL, self._turn)
        else:
            self._on_end()

    def hurry(self) -> None:
        """Send all others away now. Idempotent."""
        if self._waiting:
            self.is_hurried = True
            self._timer.cancel()
            while self._waiting:
                self._waiting.popleft()()
            self._on_end()

    def cancel(self) -> None:
        """Send nobody else away: the process ends now."""
        self._timer.cancel()
        self._waiting.clear()
