"""`Changing`: something that a test can wait on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio


class Changing:
    """Asks, after each of its `changed`, whether what is waited for has come to hold."""

    def __init__(self) -> None:
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10) -> None:
        """Wait until ``condition`` holds.

        Raises:
            TimeoutError: it did not come to hold in ``timeout`` seconds.
        """
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (condition, future)
        self._waiters.append(waiter)
        try:
            with anyio.fail_after(timeout):
                await future
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def changed(self) -> None:
        """Wake those whose condition holds now."""
        for waiter in list(self._waiters):
            condition, future = waiter
            if condition():
                self._waiters.remove(waiter)
                if not future.done():
                    future.set_result(None)
