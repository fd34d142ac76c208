"""Tools for tests that cancel at every await: a coroutine that reports its waits, and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from itertools import count
from typing import Any, TypeVar

from transport import Limits
from transport.testing import JumpingEventLoop

T = TypeVar("T")

TRANSPORTS = ("websocket", "sse", "longpoll")
LIMITS = Limits(
    heartbeat=5,
    poll_hold=5,
    ttl=30,
    closing=5,
    tombstone=5,
    nonce=5,
    drain_grace=2,
    drain_window=1,
)
"""Limits short enough that a run can wait until nothing of its sessions is kept."""


class Watched(Coroutine[Any, Any, T]):
    """A coroutine that runs ``work`` and calls ``wait`` before each wait of it.

    If ``wait`` returns an exception, the work raises it when it continues.
    """

    def __init__(self, work: Awaitable[T], wait: Callable[[Any], BaseException | None]) -> None:
        self._work: Any = work  # a coroutine
        self._wait = wait
        self._error: BaseException | None = None

    def send(self, value: Any) -> Any:
        error, self._error = self._error, None
        return self._report(self._work.send(value) if error is None else self._work.throw(error))

    def throw(self, *error: Any) -> Any:
        self._error = None
        return self._report(self._work.throw(*error))

    def _report(self, waits_for: Any) -> Any:
        self._error = self._wait(waits_for)
        return waits_for

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        error: BaseException | None = None
        while True:
            try:
                waits_for = self.send(None) if error is None else self.throw(error)
            except StopIteration as stop:
                result: T = stop.value
                return result
            error = None
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - passed to the work, as a task does
                error = thrown

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)  # anyio reads attributes such as `cr_frame`


def runs(
    once: Callable[[int], Coroutine[Any, Any, T]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = JumpingEventLoop,
    first: int = 1,
    step: int = 1,
) -> Iterator[tuple[int, T]]:
    """Run ``once(at)`` for rising ``at``, each time on a new event loop.

    The iterator has no end: the caller stops when a run reaches no wait number ``at``. Yield each
    ``at`` with the result, after its loop is closed.
    """
    for at in count(first, step):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            result = runner.run(once(at))
        yield at, result
