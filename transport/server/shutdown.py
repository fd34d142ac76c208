"""Notifies the hubs of a process that their server was told to stop.

ASGI has no event for that while requests are open. uvicorn closes its WebSockets and then waits for
streams and polls to end; granian notifies no application. So the handlers of SIGTERM and SIGINT are
chained at the first request: the hubs are notified first, and the signal is passed on when their
clients have been sent away. In a thread, or in a worker of hypercorn, no signal arrives; there each
sweep looks at the server's own flag (`transport.hosts.running`).
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

SIGNAL_DELAY = 0.05
"""Seconds in which the last ``drain`` frames are written before the server closes connections."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_notifier: ShutdownNotifier | None = None


class ShutdownNotifier:
    """The chained signal handlers, and the listeners that they notify."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._listeners: list[Callable[[], float]] = []
        self._has_notified = False
        self._has_passed_on = False
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

    def add(self, listener: Callable[[], float]) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], float]) -> None:
        """Remove a listener. When none is left, restore the original handlers."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if not self._listeners and threading.current_thread() is threading.main_thread():
            self._unchain()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if self._has_notified or not self._listeners or self._loop.is_closed():
            self._has_passed_on = True
            before(number, frame)
            return
        self._has_notified = True
        self._loop.call_soon_threadsafe(self._notify, partial(before, number, frame))

    def _notify(self, handle: Callable[[], None]) -> None:
        seconds = SIGNAL_DELAY
        try:
            for listener in list(self._listeners):
                seconds = max(seconds, listener() + SIGNAL_DELAY)
        finally:  # or the server would never stop
            self._loop.call_later(seconds, self._pass_on, handle)

    def _pass_on(self, handle: Callable[[], None]) -> None:
        # After another signal the server stops already: a second SIGINT would cut uvicorn off.
        if not self._has_passed_on:
            self._has_passed_on = True
            handle()


def _skip_closed_loops(handler: Any, number: int) -> Any:
    """Skip notifiers whose event loops have ended, as after earlier ``asyncio.run`` calls."""
    while isinstance(notifier := getattr(handler, "__self__", None), ShutdownNotifier):
        if not notifier.loop.is_closed():
            break
        handler = notifier.original(number)
    return handler


def on_shutdown(listener: Callable[[], float]) -> Callable[[], None]:
    """Call ``listener`` in the running loop when this process's server is told to stop.

    Args:
        listener: returns for how many seconds the server is to go on.

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
