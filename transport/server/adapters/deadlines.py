"""`Deadlines`: what a request may not wait for longer, ended by the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Deadlines:
    """Bounds for how long tasks stay in a block, exact to the sweep.

    Nearly all are kept, and at once: a timer for each would cost more than what it guards.

    Args:
        now: seconds of a clock.
    """

    __slots__ = ("_active", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._active: set[Deadline] = set()

    def within(self, seconds: float) -> Deadline:
        """``with deadlines.within(10.0): await ...`` raises `TimeoutError`, as `asyncio.timeout`.

        To be entered once.
        """
        return Deadline(self._active, self._now() + seconds)

    def sweep(self) -> None:
        """End what is past its time."""
        now = self._now()
        for deadline in [one for one in self._active if one.at <= now]:
            deadline.expire()

    def stop(self) -> None:
        """End all: no sweep will."""
        for deadline in list(self._active):
            deadline.expire()


class Deadline:
    """One block of one task.

    Attributes:
        at: its end, by the clock.
        expired: whether that came first.
    """

    __slots__ = ("_active", "_cancelling", "_task", "at", "expired")

    _task: asyncio.Task[object]
    _cancelling: int

    def __init__(self, active: set[Deadline], at: float) -> None:
        self._active = active
        self.at = at
        self.expired = False

    def __enter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._active.add(self)
        return self

    def expire(self) -> None:
        """Stop what the task waits for."""
        self._active.discard(self)
        self.expired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._active.discard(self)
        # Another may have cancelled the task meanwhile: that is not for us to swallow.
        if self.expired:
            ours = self._task.uncancel() <= self._cancelling
            if ours and kind is asyncio.CancelledError:
                raise TimeoutError from error
