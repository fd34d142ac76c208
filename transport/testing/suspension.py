"""`SuspendableLoop`: an event loop in which a part of what runs can be stopped, or ended.

A *part* is named by a context variable. Tasks, callbacks and timers inherit the context in which
they were created, so everything that starts in a part belongs to it.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any

MAX_CANCELS = 50
"""Turns of the loop in which the tasks of a part are cancelled: one may catch it several times."""


class Part:
    """One process of several that share an event loop.

    Attributes:
        tasks: its tasks, in the order of their start.
        is_suspended: whether nothing of it runs.
    """

    def __init__(self) -> None:
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.is_suspended = False
        self.held: list[asyncio.Handle] = []
        """What is to run when it goes on, in order."""

    def context(self) -> contextvars.Context:
        """Return a copy of the current context, in which everything belongs to this part."""
        context = contextvars.copy_context()
        context.run(_part.set, self)
        return context


_part: contextvars.ContextVar[Part | None] = contextvars.ContextVar("part", default=None)


class SuspendableLoop(asyncio.SelectorEventLoop):
    """An event loop with parts that can be suspended, as SIGSTOP does with a process."""

    _ready: Any  # asyncio's own queue of callbacks
    _scheduled: list[asyncio.TimerHandle]  # asyncio's own heap of timers

    def suspend(self, part: Part) -> None:
        """Let nothing of a part run any more, but what was due in this turn of the loop."""
        part.is_suspended = True
        timers = self._take_timers(part)
        part.held += sorted(timers)

    def go_on(self, part: Part) -> None:
        """End `suspend`: what arrived meanwhile is handled, then the timers that are overdue."""
        part.is_suspended = False
        held, part.held = part.held, []
        for handle in held:
            if handle.cancelled():
                continue
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)
                handle._scheduled = True  # type: ignore[attr-defined]
            else:
                self._ready.append(handle)

    def end(self, part: Part) -> None:
        """End a part: its timers do not fire, its tasks are cancelled, and then nothing runs."""
        part.held = [each for each in part.held if not isinstance(each, asyncio.TimerHandle)]
        self._take_timers(part)
        self.go_on(part)
        self._cancel(part, MAX_CANCELS)

    def _cancel(self, part: Part, times: int) -> None:
        if not part.tasks or not times:
            self.suspend(part)
            return
        for task in list(part.tasks):
            task.cancel()
        self.call_soon(self._cancel, part, times - 1, context=contextvars.Context())

    def _take_timers(self, part: Part) -> list[asyncio.TimerHandle]:
        """Remove the timers of a part, and return them."""
        taken = [each for each in self._scheduled if _part_of(each) is part]
        if taken:
            self._scheduled = [each for each in self._scheduled if _part_of(each) is not part]
            heapq.heapify(self._scheduled)
            for timer in taken:
                timer._scheduled = False  # type: ignore[attr-defined]
        return taken

    # `asyncio.BaseEventLoop`

    def create_task(  # type: ignore[override]  # typeshed's depends on the version of Python
        self, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """Start a task; it belongs to the part of its context."""
        context = options.get("context")
        part = _part.get() if context is None else context.get(_part)
        task = super().create_task(coroutine, **options)
        if part is not None:
            part.tasks[task] = None
            task.add_done_callback(part.tasks.pop, context=contextvars.Context())
        return task

    def _call_soon(
        self, callback: Callable[..., object], args: Any, context: contextvars.Context | None
    ) -> asyncio.Handle:
        """Queue a callback; asyncio's own does so for ``call_soon``, from any thread."""
        handle: asyncio.Handle = super()._call_soon(callback, args, context)  # type: ignore[misc]
        part = _part_of(handle)
        if part is not None and part.is_suspended:
            self._ready.pop()
            part.held.append(handle)
        return handle

    def call_at(  # type: ignore[override]  # typeshed's has a variadic type; it only passes on
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function at a time; not before its part goes on."""
        timer = super().call_at(when, callback, *args, context=context)
        part = _part_of(timer)
        if part is not None and part.is_suspended:
            part.held += self._take_timers(part)
        return timer


def _part_of(handle: asyncio.Handle) -> Part | None:
    context: contextvars.Context = handle._context  # type: ignore[attr-defined]
    return context.get(_part)
