"""Finds the server that runs the event loop, if it is a known one, and what it says of itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """How a server takes WebSocket messages, before an application sees them.

    Attributes:
        max_size: bytes of the largest message, after decompression.
        compression: whether it accepts the compression that browsers offer.
    """

    max_size: int
    compression: bool


@dataclass(frozen=True, slots=True)
class Host:
    """The server that runs this event loop.

    Attributes:
        should_exit: returns whether the server was told to stop.
        is_running: returns whether the server still runs.
        stop_listening: lets it take no new connections, and go on with those that it has; None if
            it cannot be told to.
        websocket: its settings, if it says them and serves WebSockets.
    """

    should_exit: Callable[[], bool]
    is_running: Callable[[], bool]
    stop_listening: Callable[[], None] | None
    websocket: WebSocketSettings | None


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
                return Host(
                    should_exit,
                    partial(_is_running, owner),
                    _stop_listening(owner),
                    _websocket(owner),
                )
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


def _stop_listening(owner: object) -> Callable[[], None] | None:
    """Return a function that closes the listeners of uvicorn's Server; None if it is another."""
    listeners = inspect.getattr_static(owner, "servers", None)
    if not isinstance(listeners, list):
        return None
    # Those of uvloop have no class in common with those of asyncio.
    closes = [close for each in listeners if callable(close := getattr(each, "close", None))]

    def stop_listening() -> None:
        for close in closes:
            close()

    return stop_listening if closes else None


def _websocket(owner: object) -> WebSocketSettings | None:
    """Return the settings in the ``config`` of uvicorn's Server; None if they are not there."""
    held = partial(inspect.getattr_static, inspect.getattr_static(owner, "config", None))
    max_size, compression = held("ws_max_size", None), held("ws_per_message_deflate", None)
    if held("ws_protocol_class", None) is None or type(max_size) is not int:
        return None
    return WebSocketSettings(max_size, bool(compression))
