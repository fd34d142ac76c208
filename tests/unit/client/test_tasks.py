"""`ConnectionTasks`, under plain `asyncio.run`: what callbacks may do."""

from __future__ import annotations

import asyncio

from transport.client.budget import Slot
from transport.client.connection import Connection
from transport.client.tasks import ConnectionTasks
from transport.protocol.frames import TransportKind


def connection() -> Connection:
    return Connection(TransportKind.SSE, 0.0, 0.0, Slot(0.0, 0.0))


def test_task_spawned_in_callback_runs() -> None:
    async def main() -> None:
        ends: list[str | None] = []
        tasks = ConnectionTasks(lambda _, failure: ends.append(failure))
        done = asyncio.Event()

        async def work() -> None:
            done.set()

        loop = asyncio.get_running_loop()
        raised: list[dict[str, object]] = []
        loop.set_exception_handler(lambda _, context: raised.append(context))
        loop.call_soon(tasks.spawn, connection(), work)
        async with asyncio.timeout(5):
            await done.wait()
            while tasks.is_busy:  # noqa: ASYNC110 - until its callback has run
                await asyncio.sleep(0)
        assert (ends, raised) == ([None], [])

    asyncio.run(main())


def test_task_cancelled_before_it_begins_ends_at_first_wait() -> None:
    """The part up to its first wait still runs: it may have to release something."""

    async def main() -> None:
        ends: list[str | None] = []
        tasks = ConnectionTasks(lambda _, failure: ends.append(failure))
        steps: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
                steps.append("waited")
            finally:
                steps.append("released")

        one, other = connection(), connection()
        tasks.spawn(one, work)
        tasks.spawn(other, work, lingers=True)
        tasks.cancel(one)
        tasks.cancel(other)
        async with asyncio.timeout(5):
            while not ends:  # noqa: ASYNC110 - until its callback has run
                await asyncio.sleep(0)
        assert steps == ["released"]
        assert (ends, tasks.is_busy) == ([None], True)
        await tasks.stop()
        assert steps == ["released"] * 2

    asyncio.run(main())
