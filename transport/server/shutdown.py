"""One notice, for all hubs of a process, that its server was told to stop.

uvicorn tells WebSockets of it and nobody else, and then waits for streams and polls to end; granian
tells nobody. So the handlers of SIGTERM and SIGINT are chained at the first request: hubs are told
first, and the signal is passed on a moment later, when ``drain`` has left. Where no signal comes,
in a thread or in a worker of hypercorn, the server's own flag is looked at in every sweep.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNAL_DELAY = 0.05
"""Seconds for ``drain`` to leave before the server begins to close what it knows of."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_notice: ShutdownNotifier | None = None


class ShutdownNotifier:
    """The chained signal handlers, and whom they tell."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: list[Callable[[], None]] = []
        self._told = False
        self._before: dict[int, Any] = {}

    def chain(self) -> None:
        """Stand in front of the handlers that are there now; again, of those set since."""
        for number in _SIGNALS:
            before = _living(signal.getsignal(number), number)
            # Only what a server has set: a default or ignored signal is not ours to change.
            if (
                callable(before)
                and before is not signal.default_int_handler
                and before != self._on_signal
            ):
                self._before[number] = before
                signal.signal(number, self._on_signal)

    def _unchain(self) -> None:
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, before)

    @property
    def told(self) -> bool:
        """Whether it has told its hubs, which it does once."""
        return self._told

    def behind(self, number: int) -> Any:
        """The handler that it stands in front of."""
        return self._before[number]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it tells hubs in."""
        return self._loop

    def add(self, listener: Callable[[], None]) -> None:
        """Tell this one too."""
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], None]) -> None:
        """Tell this one no more. Where none is left, the signals go their old way."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and threading.current_thread() is threading.main_thread():
            self._unchain()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if self._told or not self._listeners or self._loop.is_closed():
            before(number, frame)
            return
        self._told = True
        self._loop.call_soon_threadsafe(self._tell)
        self._loop.call_soon_threadsafe(self._loop.call_later, SIGNAL_DELAY, before, number, frame)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()


def _living(handler: Any, number: int) -> Any:
    """A handler without the notices in front of it whose loops are over, as after each of many
    ``asyncio.run``."""
    while isinstance(notice := getattr(handler, "__self__", None), ShutdownNotifier):
        if not notice.loop.is_closed():
            break
        handler = notice.behind(number)
    return handler


def on_shutdown(listener: Callable[[], None]) -> Callable[[], None]:
    """Be told, in the running loop, when this process's server is told to stop.

    Returns:
        How to listen no more.
    """
    global _notice  # noqa: PLW0603 - signal handlers are the process's, so is what chains them
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _notice is None or _notice.loop is not loop or _notice.told:
        _notice = ShutdownNotifier(loop)
    notice = _notice
    notice.chain()
    notice.add(listener)
    return lambda: notice.remove(listener)


class Host:
    """The server that runs this loop, as far as it can be asked.

    Args:
        should_exit: whether it was told to stop.
        is_running: whether it still runs.
    """

    __slots__ = ("is_running", "should_exit")

    def __init__(self, should_exit: Callable[[], bool], is_running: Callable[[], bool]) -> None:
        self.should_exit = should_exit
        self.is_running = is_running


def find_host() -> Host | None:
    """The server that runs this loop; None where it cannot be asked.

    Found in the frames of the loop's tasks: a server that is no module of ours, and hands itself to
    no application, can be known in no other way. Needed for those that tell nobody by a signal:
    uvicorn in a thread, and hypercorn, whose workers get none.
    """
    for task in asyncio.all_tasks():
        for owner in _owners(task):
            told = _flag(owner)
            if told is not None:
                return Host(told, partial(_runs, owner))
    return None


def _runs(owner: object) -> bool:
    return any(one is owner for task in asyncio.all_tasks() for one in _owners(task))


def _owners(task: asyncio.Task[Any]) -> list[Any]:
    """What the functions that a task is in belong to."""
    owners: list[Any] = []
    step: Any = task.get_coro()
    while (frame := getattr(step, "cr_frame", None)) is not None:
        owners += [frame.f_locals[name] for name in ("self", "context") if name in frame.f_locals]
        step = step.cr_await
    return owners


def _flag(owner: Any) -> Callable[[], bool] | None:
    """How to ask a server whether it was told to stop; None for what is none."""
    held = partial(inspect.getattr_static, owner)  # runs no code of what is no server
    if isinstance(held("should_exit", None), bool) and isinstance(held("force_exit", None), bool):
        return lambda: bool(owner.should_exit)  # uvicorn's Server
    if held("terminate", None) is not None and held("terminated", None) is not None:
        is_set = getattr(owner.terminated, "is_set", None)
        if callable(is_set):
            return lambda: bool(is_set())  # hypercorn's WorkerContext
    return None
