"""`JumpingEventLoop`: a clock that a test advances by sleeping."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

_REFUSED = (
    "this event loop's time jumps, and no socket, pipe or process keeps up with it: "
    "test these on an ordinary event loop"
)


class JumpingEventLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything runs, and jumps to the next timer when
    nothing does. So ``await anyio.sleep(3600)`` lets an hour of heartbeats, polls and expiries pass
    at once, in their order, and no test waits.

    ``asyncio.Runner(loop_factory=JumpingEventLoop)``, or for anyio's pytest plugin the backend
    ``("asyncio", {"loop_factory": JumpingEventLoop})``.

    Its time is ``loop.time()``, which begins at 0; ``time.time()`` is not affected. Time stands
    still while a call to `asyncio.to_thread` or ``run_in_executor`` is in progress. The loop does
    not track other threads, `anyio.to_thread`'s included: a timer may fire before they finish.

    Raises:
        RuntimeError: a socket, a pipe or a process was opened in it.
    """

    def __init__(self) -> None:
        self._time = 0.0
        self._calls = 0
        """Calls into threads that have not returned yet."""
        self._jumper = _Jumper(self._pass)
        super().__init__(self._jumper)
        # The pipe by which threads and signals wake the loop has been registered by now.
        self._jumper.sealed = True

    def time(self) -> float:
        """Seconds since this loop was made, jumps included."""
        return self._time

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
        return True


class _Jumper(selectors.BaseSelector):
    """A selector that jumps instead of waiting."""

    def __init__(self, jump: Callable[[float], bool]) -> None:
        self._real = selectors.DefaultSelector()
        self._jump = jump
        self.sealed = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
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
