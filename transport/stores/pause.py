"""`Pause`: when a connection to a store that broke, or could not be made, is tried again."""

from __future__ import annotations

import asyncio
import random

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts to connect, at first and at most. Processes that lose a store at the
same time come back over about a second."""


class Pause:
    """The time until the next attempt: the first is made at once, later ones ever more rarely."""

    def __init__(self) -> None:
        self._next = 0.0

    def reset(self) -> None:
        """Note that the connection works."""
        self._next = 0.0

    async def wait(self) -> None:
        """Wait until the next attempt is due."""
        pause, self._next = self._next, min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._next))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
