"""`JumpingEventLoop`: a clock that a test advances by sleeping."""

from __future__ import annotations

import asyncio
import contextvars
import math
import selectors
from collections.abc import Callable, Mapping
from typing import Any

from transport.testing.suspension import SuspendableLoop

_REFUSED = (
    "this event loop's time jumps, and no socket, pipe or process keeps up with it: "
    "test these on an ordinary event loop"
)

MAX_OVERDUE_TIMERS = 10_000
"""Timers that may be set, while the clock stands still, for a time that it has reached already."""
MAX_TURNS = 1_000_000
"""Turns of the loop for which the clock may stand still."""


class JumpingEventLoop(SuspendableLoop):
    """An event loop whose clock stands still while anything runs, and jumps to the next timer when
    nothing does. So ``await anyio.sleep(3600)`` lets an hour of heartbeats, polls and expiries pass
    at once, in their order, and no test waits.

    ``asyncio.Runner(loop_factory=JumpingEventLoop)``, or for anyio's pytest plugin the backend
    ``("asyncio", {"loop_factory": JumpingEventLoop})``.

    Its time is ``loop.time()``, which begins at 0; ``time.time()`` is not affected. No timer fires
    before its time, not even by a rounding error: code that compares its deadline with the clock
    would set that timer again for ever. Time stands still while a call to `asyncio.to_thread` or
    ``run_in_executor`` is in progress. The loop does not track other threads, `anyio.to_thread`'s
    included: a timer may fire before they finish.

    Raises:
        RuntimeError: a socket, a pipe or a process was opened in it; or the clock cannot advance,
            because a timer is set again and again for a time that has been reached, or because
            some task never waits. The message names the timer.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._overdue_timers = 0
        """Timers that were overdue when they were set, since the clock last advanced."""
        self._latest_overdue: asyncio.TimerHandle | None = None
        self._turns = 0
        """Turns since the clock last advanced."""
        self._calls = 0
        """Calls into threads that have not returned yet."""
        self._jumper = _Jumper(self._pass, self._check_progress)
        super().__init__(self._jumper)
        self._clock_resolution = math.ulp(0.0)
        # The pipe by which threads and signals wake the loop has been registered by now.
        self._jumper.sealed = True

    def time(self) -> float:
        """Seconds since this loop was made, jumps included."""
        return self._time

    def call_at(  # type: ignore[override]  # typeshed's has a variadic type; it only passes on
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function at a time of this clock."""
        timer = super().call_at(when, callback, *args, context=context)
        if when <= self._time:
            self._overdue_timers += 1
            self._latest_overdue = timer
        return timer

    def run_in_executor(  # type: ignore[override]  # it only passes on
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Run a function in an executor; time stands still until it has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._calls += 1
        future.add_done_callback(self._returned)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Shut down the default executor; time stands still meanwhile."""
        self._calls += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._calls -= 1

    def _returned(self, _: object) -> None:
        self._calls -= 1

    def _pass(self, seconds: float) -> bool:
        """Jump ahead, unless something in progress has to be waited for."""
        if self._calls:
            return False
        self._time += seconds
        # asyncio fires the timers of the next ``_clock_resolution`` seconds, too. With the smallest
        # step of the clock, these are the timers that it has reached, and no others.
        self._clock_resolution = math.ulp(self._time)
        self._turns = self._overdue_timers = 0
        self._latest_overdue = None
        return True

    def _check_progress(self) -> None:
        """Raise if the clock has stood still for too many turns."""
        self._turns += 1
        if self._turns <= MAX_TURNS and self._overdue_timers <= MAX_OVERDUE_TIMERS:
            return
        if self._overdue_timers > MAX_OVERDUE_TIMERS:
            cause = f"this timer is overdue whenever it is set: {self._latest_overdue!r}"
        else:
            timer = min(self._scheduled, default=None)
            cause = f"some task never waits, so this timer is never reached: {timer!r}"
        turns = self._turns
        self._turns = self._overdue_timers = 0  # so that the loop can clean up
        raise RuntimeError(f"the clock stands at {self._time} s after {turns} turns: {cause}")


class _Jumper(selectors.BaseSelector):
    """A selector that jumps instead of waiting."""

    def __init__(self, jump: Callable[[float], bool], check_progress: Callable[[], None]) -> None:
        self._real = selectors.DefaultSelector()
        self._jump = jump
        self._check_progress = check_progress
        self.sealed = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._check_progress()
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None or not self._jump(timeout):
            # Only a thread or a signal can wake the loop. Real time passes, and is not counted.
            return self._real.select(None)
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.sealed:
            raise RuntimeError(_REFUSED)
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()
