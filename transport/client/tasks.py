"""`ConnectionTasks`: the tasks that do the work of connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from transport.client.connection import Connection
from transport.telemetry.log import ERROR, log_event
from transport.waiting import wait_all

Work = Callable[..., Awaitable[Any]]


@dataclass(slots=True, eq=False)
class _Task:
    """The connection that a task works for, and how to end it."""

    connection: Connection
    lingers: bool
    """Whether it may outlive its connection."""
    scope: anyio.CancelScope | None = None
    """Made by the task itself: a callback has no part in anyio. None until the task has begun."""
    is_cancelled: bool = False

    async def run(self, work: Work, *args: Any) -> None:
        """Do the work, until it is done or `cancel` is called."""
        with anyio.CancelScope() as self.scope:
            if self.is_cancelled:
                self.scope.cancel()
            await work(*args)

    def cancel(self) -> None:
        """Cancel the work, whether it has begun or not."""
        self.is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()


class ConnectionTasks:
    """Runs the work of connections, and reports the end of each task.

    Args:
        on_end: called when a task has ended, with its connection and the reason if it failed, or
            None.
    """

    def __init__(self, on_end: Callable[[Connection, str | None], None]) -> None:
        self._on_end = on_end
        self._tasks: dict[asyncio.Task[None], _Task] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any task runs."""
        return bool(self._tasks)

    def runs_for(self, connection: Connection, *, lingers: bool = False) -> bool:
        """Return whether a task works for ``connection``; with ``lingers``, one that lingers."""
        return any(
            task.connection is connection and (task.lingers or not lingers)
            for task in self._tasks.values()
        )

    def spawn(self, connection: Connection, work: Work, *args: Any, lingers: bool = False) -> None:
        """Run ``work`` until it returns or, unless it ``lingers``, its connection is left.

        May be called in a callback.
        """
        entry = _Task(connection, lingers)
        name = f"transport.{connection.transport.value}.{work.__name__}"
        task = asyncio.create_task(entry.run(work, *args), name=name)
        self._tasks[task] = entry
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task).connection
        failure: str | None = None
        if task.cancelled():
            failure = "its task was cancelled"
        elif (error := task.exception()) is not None:
            log_event(
                ERROR,
                "connection_failed",
                "a connection failed",
                exc_info=error,
                transport=connection.transport.value,
            )
            failure = f"{type(error).__name__}: {error}"
        self._on_end(connection, failure)

    def cancel(self, connection: Connection) -> None:
        """Cancel the tasks of ``connection`` that do not linger."""
        for task in list(self._tasks.values()):
            if task.connection is connection and not task.lingers:
                task.cancel()

    def cancel_all(self) -> None:
        """Cancel all tasks."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def stop(self) -> None:
        """Cancel all tasks, and wait until none is left."""
        self.cancel_all()
        await wait_all(self._tasks)
