"""Notifies the hubs of a process that their server was told to stop.

ASGI has no event for that while requests are open. uvicorn closes its WebSockets and then waits for
streams and polls to end; granian notifies no application. So the handlers of SIGTERM and SIGINT are
chained at the first request: the hubs are notified first, and the signal is passed on a moment
later, when their ``drain`` frames have been written. In a thread, or in a worker of hypercorn, no
signal arrives; there each sweep looks at the server's own flag (`find_host`).
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
"""Seconds in which ``drain`` frames are written before the server begins to close connections."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_notifier: ShutdownNotifier | None = None


class ShutdownNotifier:
    """The chained signal handlers, and the listeners that they notify."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: list[Callable[[], None]] = []
        self._has_notified = False
        self._before: dict[int, Any] = {}

    def chain(self) -> None:
        """Chain the currently installed handlers; call it again for handlers installed later."""
        for number in _SIGNALS:
            before = _skip_closed_loops(signal.getsignal(number), number)
            # Only handlers that a server has installed; a default or ignored signal stays as it is.
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
    def has_notified(self) -> bool:
        """Whether the listeners were notified, which happens once."""
        return self._has_notified

    def original(self, number: int) -> Any:
        """Return the handler that was installed before."""
        return self._before[number]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which listeners are called."""
        return self._loop

    def add(self, listener: Callable[[], None]) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], None]) -> None:
        """Remove a listener. When none is left, restore the original handlers."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and threading.current_thread() is threading.main_thread():
            self._unchain()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if self._has_notified or not self._listeners or self._loop.is_closed():
            before(number, frame)
            return
        self._has_notified = True
        self._loop.call_soon_threadsafe(self._notify)
        self._loop.call_soon_threadsafe(self._loop.call_later, SIGNAL_DELAY, before, number, frame)

    def _notify(self) -> None:
        for listener in list(self._listeners):
            listener()


def _skip_closed_loops(handler: Any, number: int) -> Any:
    """Skip notifiers whose event loops have ended, as after earlier ``asyncio.run`` calls."""
    while isinstance(notifier := getattr(handler, "__self__", None), ShutdownNotifier):
        if not notifier.loop.is_closed():
            break
        handler = notifier.original(number)
    return handler


def on_shutdown(listener: Callable[[], None]) -> Callable[[], None]:
    """Call ``listener`` in the running loop when this process's server is told to stop.

    Returns:
        A function that removes the listener.
    """
    global _notifier  # noqa: PLW0603 - signal handlers belong to the process, and so does this
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    if _notifier is None or _notifier.loop is not loop or _notifier.has_notified:
        _notifier = ShutdownNotifier(loop)
    notifier = _notifier
    notifier.chain()
    notifier.add(listener)
    return lambda: notifier.remove(listener)


class Host:
    """The server that runs this event loop.

    Args:
        should_exit: returns whether the server was told to stop.
        is_running: returns whether the server still runs.
    """

    __slots__ = ("is_running", "should_exit")

    def __init__(self, should_exit: Callable[[], bool], is_running: Callable[[], bool]) -> None:
        self.should_exit = should_exit
        self.is_running = is_running


def find_host() -> Host | None:
    """Find the server that runs this event loop; return None if it is not a known one.

    It is found in the frames of the loop's tasks, since servers do not pass themselves to the
    application. This is needed if no signal arrives: for uvicorn in a thread, and for the workers
    of hypercorn.
    """
    for task in asyncio.all_tasks():
        for owner in _method_owners(task):
            should_exit = _exit_flag(owner)
            if should_exit is not None:
                return Host(should_exit, partial(_is_running, owner))
    return None


def _is_running(owner: object) -> bool:
    return any(found is owner for task in asyncio.all_tasks() for found in _method_owners(task))


def _method_owners(task: asyncio.Task[Any]) -> list[Any]:
    """Return the objects whose methods the task is executing."""
    owners: list[Any] = []
    step: Any = task.get_coro()
    while (frame := getattr(step, "cr_frame", None)) is not None:
        owners += [frame.f_locals[name] for name in ("self", "context") if name in frame.f_locals]
        step = step.cr_await
    return owners


def _exit_flag(owner: Any) -> Callable[[], bool] | None:
    """Return a function that reads a server's exit flag; None if ``owner`` is not a server."""
    held = partial(inspect.getattr_static, owner)  # runs no code of unrelated objects
    if isinstance(held("should_exit", None), bool) and isinstance(held("force_exit", None), bool):
        return lambda: bool(owner.should_exit)  # uvicorn's Server
    if held("terminate", None) is not None and held("terminated", None) is not None:
        is_set = getattr(owner.terminated, "is_set", None)
        if callable(is_set):
            return lambda: bool(is_set())  # hypercorn's WorkerContext
    return None
