"""`Deadlines`: like `asyncio.timeout`, but enforced by the sweep."""

from __future__ import annotations

import asyncio

import pytest

from transport.server.deadlines import Deadline, Deadlines


class Clock:
    """A clock in seconds that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def wait(deadline: Deadline, seconds: float = 60.0) -> str:
    """Sleep within the deadline. Return whether it was exceeded."""
    try:
        with deadline:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "late"
    await asyncio.sleep(0)  # would raise if a cancellation were still pending
    return "in time"


async def test_sweep_ends_only_overdue_deadlines() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    short = asyncio.create_task(wait(deadlines.within(1.0)))
    long = asyncio.create_task(wait(deadlines.within(2.0), 0.01))
    quick = asyncio.create_task(wait(deadlines.within(1.0), 0))
    await asyncio.sleep(0)
    assert await quick == "in time"
    clock.seconds = 0.9
    deadlines.sweep()
    await asyncio.sleep(0)
    assert not short.done()
    clock.seconds = 1.0
    deadlines.sweep()
    assert await short == "late"
    assert await long == "in time"
    clock.seconds = 9.0
    deadlines.sweep()  # nothing is waiting


async def test_stop_ends_all_deadlines() -> None:
    deadlines = Deadlines(Clock())
    task = asyncio.create_task(wait(deadlines.within(1.0)))
    await asyncio.sleep(0)
    deadlines.stop()
    assert await task == "late"


async def test_cancellation_by_other_code_is_not_a_timeout() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    both = asyncio.create_task(wait(deadlines.within(1.0)))
    alone = asyncio.create_task(wait(deadlines.within(9.0)))
    await asyncio.sleep(0)
    clock.seconds = 1.0
    both.cancel()
    deadlines.sweep()
    alone.cancel()
    for task in (both, alone):
        with pytest.raises(asyncio.CancelledError):
            await task
