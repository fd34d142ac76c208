"""`keep_running`: begins again what a defect has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from transport.telemetry.log import ERROR, log_event

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
