"""`Clock`: time as sessions count it, which stands still while the process does."""

from __future__ import annotations

import asyncio

LATE = 1.0
"""A sweep that comes later than this was stopped with its process, and so were the clients' frames
in the kernel: its lateness is added to every deadline (LIV-3)."""


class Clock:
    """The event loop's clock without the time in which the process was stopped.

    Attributes:
        loop: the running event loop.
    """

    __slots__ = ("_slip", "_ticked", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._slip = 0.0
        self._ticked = self.loop.time()

    def now(self) -> float:
        """Seconds of a monotonic clock."""
        return self.loop.time() - self._slip

    def tick(self, expected: float) -> None:
        """A timer of ``expected`` seconds fired: what it is late by beyond `LATE` did not pass."""
        now = self.loop.time()
        late = now - self._ticked - expected
        if late > LATE:
            self._slip += late
        self._ticked = now
