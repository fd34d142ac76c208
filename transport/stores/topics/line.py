"""How long a connection is waited for, when the next is made, and what follows a defect."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from transport.telemetry.log import ERROR, log_event

ANSWER_WITHIN = 3.0
"""Seconds for an answer of the store, a connection included."""

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


FIRST_RESTART, LONGEST_RESTART = 1.0, 60.0
"""Seconds until what a defect has ended begins again, at first and at most: each is logged."""


async def keep_running(run: Callable[[], Awaitable[None]]) -> None:
    """Run something until the task is cancelled; begin it again after a defect, which is logged.

    Args:
        run: leaves nothing behind that would keep it from being called again.
    """
    pause = FIRST_RESTART
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - logged with its traceback
            log_event(
                ERROR,
                "topics_failed",
                "a defect of this package has ended what sends or receives for groups and "
                f"broadcasts in this process; it begins again in {pause:g} s: please report the "
                "exception below",
                exc_info=True,
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_RESTART)
