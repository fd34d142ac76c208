"""`Clock`: the time that sessions count, which stops while the process is stopped."""

from __future__ import annotations

import asyncio
import threading

CLOCK_SLIP_THRESHOLD = 1.0
"""Seconds. If a sweep is later than this, the process was stopped and clients' frames were waiting
in the kernel, so every deadline is postponed by the same amount (LIV-3)."""


class Clock:
    """The event loop's clock, without the time in which the process was stopped.

    Attributes:
        loop: the running event loop.
        thread: the identifier of the thread that runs it.
    """

    __slots__ = ("_slip", "_stopped", "_ticked", "loop", "thread")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._slip = 0.0
        self._stopped = (0.0, 0.0)
        """For how long it was stopped last, and when it went on."""
        self._ticked = self.loop.time()

    def now(self) -> float:
        """Return the time in seconds of a monotonic clock."""
        return self.loop.time() - self._slip

    def tick(self, expected: float) -> None:
        """Record that a timer of ``expected`` seconds fired.

        If it is late by more than `CLOCK_SLIP_THRESHOLD`, that time does not count as passed.
        """
        now = self.loop.time()
        late = now - self._ticked - expected
        if late > CLOCK_SLIP_THRESHOLD:
            self._slip += late
            self._stopped = late, now
        self._ticked = now

    def was_stopped(self, seconds: float, within: float) -> bool:
        """Return whether the process was stopped for ``seconds``, and went on ``within`` some."""
        length, end = self._stopped
        return length >= seconds and self.loop.time() - end <= within
