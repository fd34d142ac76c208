"""Cancels the client, or one of its tasks, at a wait of a given number."""

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
    """What is cancelled, and how."""

    BLOCK = "block"
    """The task that is in ``async with connect()``."""
    BLOCK_SCOPE = "block-scope"
    """The same, by a scope, which cancels each further wait too."""
    CALL = "call"
    """The method of the channel that the application waits for. It is called again."""
    CALL_SCOPE = "call-scope"
    TASK = "task"
    """The client's own task whose wait it is."""
    DEATH = "death"
    """The same is not cancelled: it raises what nobody expects."""


WHOLE = (Mode.BLOCK, Mode.BLOCK_SCOPE)
INNER = (Mode.TASK, Mode.DEATH)


class Unexpected(Exception):
    """What no code of ours knows."""


class Canceller:
    """Acts at the ``at``-th wait of the client, from 1.

    Attributes:
        block, call: cancel the block, or the call that is waited for; None: there is none.
        fired: whether that wait came.
        where: it was.
        main: whether it hit the task that runs the channel: no other can carry on for it.
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
        """All of the client."""

    @property
    def fired(self) -> bool:
        return self.count >= self.at

    def wait(self, waits_for: Any) -> BaseException | None:
        """A task of the client is about to wait."""
        task = asyncio.current_task()
        assert task is not None
        name = task.get_name()
        # Nobody but the loop's end cancels what closes sockets: they end with it.
        if self.mode in INNER and (name in ("user", "call") or name.endswith(".aclose")):
            return None
        if self.mode is Mode.DEATH and (waits_for is None or "Lock.acquire" in innermost(task)):
            return None  # a turn of the loop, or of a lock: these raise nothing
        self.count += 1
        if self.count != self.at:
            return None
        self.where = f"{name}, {innermost(task)}"
        self.main = name == "transport.connect"
        if self.mode is Mode.DEATH:
            return Unexpected("at a wait")
        if self.mode is Mode.TASK:
            task.cancel()
        elif (cancel := self.block if self.mode in WHOLE else self.call) is not None:
            cancel()
        return None

    async def __call__(self, method: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call a method of the channel; where it was cancelled, again."""
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
    """Where in the client, and in all, a task stands."""
    work: Any = task.get_coro()
    ours = last = "?"
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None:
            last = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
            if "/transport/client/" in frame.f_code.co_filename:
                ours = last
        step = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)
        if frame is None:  # a step of an asynchronous generator does not tell of which
            step = next(filter(inspect.isasyncgen, gc.get_referents(work)), None)
        work = step
    return f"{ours} ... {last}"


canceller: ContextVar[Canceller | None] = ContextVar("canceller", default=None)
"""Set for all that the application has begun, and nothing that the server has."""


def make_task(loop: Any, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    """The loop's task factory."""
    context = options.get("context")
    owner = canceller.get() if context is None else context.get(canceller)
    if owner is None:
        return asyncio.Task(work, loop=loop, **options)
    watched = Watched(work, owner.wait) if inspect.iscoroutine(work) else work
    task = asyncio.Task(watched, loop=loop, **options)
    owner.tasks.append(task)
    return task
