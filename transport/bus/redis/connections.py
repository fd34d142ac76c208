"""Connections to Redis that are made again when they break."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from redis.asyncio.connection import AbstractConnection

from transport.bus import forks
from transport.stores.pause import Pause
from transport.stores.redis.connections import BROKEN, Connections, abort
from transport.stores.redis.faults import Refused, Unreached
from transport.telemetry.log import ERROR, log_event

ANSWER_WITHIN = 3.0
"""Seconds in which a connection is made, and in which Redis answers. A connection without answers
is replaced: the way to Redis may be gone without any sign."""


class Reconnecting:
    """A task that has a connection, and another one when it breaks.

    Args:
        connections: makes them.
        serve: uses a connection until it breaks, or this task is cancelled.
        failed: called when a connection has broken, or could not be made.
    """

    def __init__(
        self,
        connections: Connections,
        serve: Callable[[AbstractConnection], Awaitable[None]],
        failed: Callable[[Exception], None],
    ) -> None:
        self._connections = connections
        self._serve = serve
        self._failed = failed
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._pause = Pause()

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        forks.silence_in_child(self)

    def works(self) -> None:
        """Note that the connection is of use: when it breaks, another is made without a pause."""
        self._pause.reset()

    async def stop(self) -> None:
        """End the connection, and wait for that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def abandon(self) -> None:
        """End the connection when the event loop is closed."""
        if self._connection is not None:
            abort(self._connection)

    def fileno(self) -> int:
        """Return the number of the file of the connection; -1 if it is closed."""
        # redis-py does not give its socket.
        writer = getattr(self._connection, "_writer", None)
        one = writer.get_extra_info("socket") if writer is not None else None
        return int(one.fileno()) if one is not None else -1

    async def _run(self) -> None:
        while True:
            connection = self._connection = self._connections.make()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    await self._connections.connect(connection)
                await self._serve(connection)
            except (*BROKEN, Refused, Unreached) as error:
                self._failed(error)
            except Exception:  # noqa: BLE001 - logged with its traceback
                log_defect()
            finally:
                abort(connection)
            await self._pause.wait()


async def until_one_ends(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run several coroutines until one ends; then cancel the others. Raise what it raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


def log_defect() -> None:
    """Log the exception that is being handled: a defect, after which this process goes on."""
    log_event(
        ERROR,
        "redis_failed",
        "what other processes sent, or Redis has answered, could not be handled; this process goes "
        "on, perhaps over another connection: please report the exception below",
        exc_info=True,
    )
