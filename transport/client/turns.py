"""`Turns`: when the task of a channel takes its next turn."""

from __future__ import annotations

import asyncio
from math import inf

from transport.waiting import resolve


class Turns:
    """Lets one task sleep until a deadline, or until `wake` is called."""

    def __init__(self) -> None:
        self._waker: asyncio.Future[None] | None = None
        self._is_woken = True

    def begin(self) -> None:
        """Begin a turn: from now on `wake` asks for another one."""
        self._is_woken = False

    def wake(self) -> None:
        """Make the task take another turn, because something has changed."""
        self._is_woken = True
        resolve(self._waker)

    async def sleep_until(self, due: float) -> None:
        """Sleep until ``due``, a time of the loop's clock; not at all if `wake` was called."""
        if self._is_woken:
            return
        loop = asyncio.get_running_loop()
        self._waker = loop.create_future()
        timer = loop.call_at(due, resolve, self._waker) if due < inf else None
        try:
            await self._waker
        finally:
            self._waker = None
            if timer is not None:
                timer.cancel()
