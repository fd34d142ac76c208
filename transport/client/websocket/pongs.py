"""`Pongs`: the tasks that wait for the answers to pings."""

from __future__ import annotations

import asyncio

from transport.client.clock import read_clock


class Pongs:
    """The pings that are not answered yet.

    Attributes:
        latency: seconds from the latest answered ping to its pong; 0.0 before the first.
    """

    def __init__(self) -> None:
        self.latency = 0.0
        self._waiting: dict[int, tuple[asyncio.Future[float], float]] = {}

    def add(self, number: int) -> asyncio.Future[float]:
        """Return a future for the seconds until ping ``number`` is answered."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, read_clock())
        return future

    def answer(self, number: int) -> None:
        """Settle the pings up to ``number``."""
        now = read_clock()
        for one in [one for one in self._waiting if one <= number]:
            future, sent_at = self._waiting.pop(one)
            self.latency = now - sent_at
            if not future.done():
                future.set_result(self.latency)

    def fail(self, error: BaseException) -> None:
        """Fail all pings: the connection is closed."""
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # it need not be awaited
        self._waiting.clear()
