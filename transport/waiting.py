"""Waiting for a condition, for a future, and for tasks to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import anyio


class Waiters:
    """Tasks that wait until a condition holds. It is evaluated after each change, not polled."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            entry = (condition, waiter)
            self._waiting.append(entry)
            try:
                await waiter
            finally:
                if entry in self._waiting:
                    self._waiting.remove(entry)

    def changed(self) -> None:
        """Wake the tasks whose condition holds now."""
        for entry in list(self._waiting):
            condition, waiter = entry
            if condition():
                self._waiting.remove(entry)
                resolve(waiter)


def resolve(waiter: asyncio.Future[None] | None) -> None:
    """Resolve a future, if there is one. Idempotent."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def wait_all(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait until all tasks have ended, including those that are added meanwhile.

    A cancellation of the caller is raised after that, so no task is left behind.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(pending)
        except asyncio.CancelledError as error:  # anyio's shield does not stop `Task.cancel`
            cancelled = error
    if cancelled is not None:
        raise cancelled
