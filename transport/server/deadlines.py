"""`Deadlines`: timeouts of requests, enforced by the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Deadlines:
    """Limits how long tasks stay in a block, exact to the interval of the sweep.

    Nearly all deadlines are met within a moment: a timer for each would cost more than the request
    that it guards.

    Args:
        now: returns the seconds of a clock.
    """

    __slots__ = ("_active", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._active: set[Deadline] = set()

    def within(self, seconds: float) -> Deadline:
        """Return a context manager that raises `TimeoutError` after ``seconds``.

        Like `asyncio.timeout`, but with a plain ``with``. It can be entered once.
        """
        return Deadline(self._active, self._now() + seconds)

    def sweep(self) -> None:
        """Expire the deadlines that have passed."""
        now = self._now()
        for deadline in [active for active in self._active if active.at <= now]:
            deadline.expire()

    def stop(self) -> None:
        """Expire every deadline: no sweep will follow."""
        for deadline in list(self._active):
            deadline.expire()


class Deadline:
    """The deadline of one block of one task.

    Attributes:
        at: when it expires, in seconds of the clock.
        expired: whether it expired before the block ended.
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
        """Cancel what the task is waiting for."""
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
        # Someone else may have cancelled the task too: that cancellation must not be swallowed.
        if self.expired:
            ours = self._task.uncancel() <= self._cancelling
            if ours and kind is asyncio.CancelledError:
                raise TimeoutError from error
