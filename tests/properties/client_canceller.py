"""Cancel the client, or one of its tasks, at its n-th wait."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from enum import Enum
from typing import Any, TypeVar

import anyio

from tests.properties.cancellation import Watched

T = TypeVar("T")


class Mode(Enum):
    """The target of a cancellation, and the way it is cancelled."""

    BLOCK = "block"
    """Cancel the task within ``async with connect()``."""
    BLOCK_SCOPE = "block-scope"
    """The same with a cancel scope, which also cancels every later wait."""
    CALL = "call"
    """Cancel the channel method that the application awaits, and call it again."""
    CALL_SCOPE = "call-scope"
    """The same with a cancel scope."""
    TASK = "task"
    """Cancel the client's own task that is about to wait."""
    FAILURE = "failure"
    """Raise an unexpected exception in that task instead."""


BLOCK_MODES = (Mode.BLOCK, Mode.BLOCK_SCOPE)
TASK_MODES = (Mode.TASK, Mode.FAILURE)


class Unexpected(Exception):
    """An exception that the package does not know."""


class Canceller:
    """Cancels at the ``at``-th wait of the client, counted from 1.

    Attributes:
        block, call: functions that cancel the block or the current call, if there is one.
        fired: whether the client reached that wait.
        where: the place of the wait, for error messages.
        main: whether the wait was of the task that runs the channel, which cannot be replaced.
    """

    def __init__(self, mode: Mode, at: int) -> None:
        self.mode = mode
        self.at = at
        self.count = 0
        self.where = ""
        self.main = False
        self.block: Callable[[], object] | None = None
        self.call: Callable[[], object] | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        """All tasks of the client."""

    @property
    def fired(self) -> bool:
        return self.count >= self.at

    def wait(self, waits_for: Any) -> BaseException | None:
        """Handle a wait of a client task: cancel, or return the exception to raise there."""
        task = asyncio.current_task()
        assert task is not None
        name = task.get_name()
        # Only the end of the loop cancels the tasks that close sockets.
        if self.mode in TASK_MODES and (name in ("user", "call") or name.endswith(".aclose")):
            return None
        if self.mode is Mode.FAILURE and (waits_for is None or "Lock.acquire" in innermost(task)):
            return None  # waits of `sleep(0)` or of a lock, which raise nothing
        self.count += 1
        if self.count != self.at:
            return None
        self.where = f"{name}, {innermost(task)}"
        self.main = name == "transport.connect"
        if self.mode is Mode.FAILURE:
            return Unexpected("at a wait")
        if self.mode is Mode.TASK:
            task.cancel()
        elif (cancel := self.block if self.mode in BLOCK_MODES else self.call) is not None:
            cancel()
        return None

    async def __call__(self, method: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call a method of the channel, and call it again if it was cancelled."""
        while True:
            if self.mode is Mode.CALL:
                task = asyncio.create_task(_call(method, *args), name="call")
                self.call = task.cancel
                await asyncio.wait([task])
                self.call = None
                if not task.cancelled():
                    return task.result()
            else:
                with anyio.CancelScope() as scope:
                    self.call = scope.cancel
                    try:
                        return await method(*args)
                    finally:
                        self.call = None
                assert scope.cancelled_caught


async def _call(method: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await method(*args)


def innermost(task: asyncio.Task[Any]) -> str:
    """Return the innermost frame of a task within the client, and the innermost of all."""
    work: Any = task.get_coro()
    ours = last = "?"
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None:
            last = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
            if "/transport/client/" in frame.f_code.co_filename:
                ours = last
        step = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)
        if frame is None:  # a step of an asynchronous generator does not name its generator
            step = next(filter(inspect.isasyncgen, gc.get_referents(work)), None)
        work = step
    return f"{ours} ... {last}"


canceller: ContextVar[Canceller | None] = ContextVar("canceller", default=None)
"""Set in every task that the application starts, and in none that the server starts."""


def make_task(loop: Any, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    """Create a task, watched if it belongs to the client. This is the loop's task factory."""
    context = options.get("context")
    owner = canceller.get() if context is None else context.get(canceller)
    if owner is None:
        return asyncio.Task(work, loop=loop, **options)
    watched = Watched(work, owner.wait) if inspect.iscoroutine(work) else work
    task = asyncio.Task(watched, loop=loop, **options)
    owner.tasks.append(task)
    return task
