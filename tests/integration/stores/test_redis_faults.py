"""A Redis that is killed, stopped, emptied and restarted at random while sessions are written.

``STORE_SECONDS=600 pytest tests/integration/stores/test_redis_faults.py -s`` runs it for longer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from tests.support.figures import tell
from tests.support.journaled_sessions import DEADLINE, JournaledProcess
from tests.support.redis_processes import running, stored
from tests.support.servers.redis import APPEND_ONLY, RedisServer, running_redis
from transport.stores.remote.times import Times

SECONDS = float(os.environ.get("STORE_SECONDS", "1"))
TIMES = Times().scaled(0.2)


class Faults:
    """What can happen to a server; each is over when its method returns, or soon after that."""

    def __init__(self, server: RedisServer, random: Random) -> None:
        self._server = server
        self._random = random
        self.done = Counter[str]()

    async def cause(self) -> None:
        """Let one thing go wrong."""
        kinds: list[Callable[[], Awaitable[object]]] = [
            self.cut,
            self.forget_scripts,
            self.flush,
            self.pause,
            self.stop,
            self.restart,
            self.lose,
        ]
        kind = self._random.choice(kinds)
        self.done[kind.__name__] += 1
        await kind()

    async def cut(self) -> None:
        async with self._server.client() as client:
            await client.client_kill_filter(_type="normal", skipme=True)

    async def forget_scripts(self) -> None:
        async with self._server.client() as client:
            await client.script_flush()

    async def flush(self) -> None:
        async with self._server.client() as client:
            await client.flushall()

    async def pause(self) -> None:
        await self._server.pause(self._random.choice([0.1, 0.7, 1.5]))

    async def stop(self) -> None:
        self._server.suspend()
        await asyncio.sleep(self._random.choice([0.1, 0.7, 1.5, 3.5]))
        self._server.resume()

    async def restart(self) -> None:
        await self._server.restart(keep=True)

    async def lose(self) -> None:
        await self._server.restart(keep=False)


async def test_living_homes_lose_nothing(tmp_path: Path) -> None:
    seed = time.time_ns()
    random = Random(seed)
    until = time.monotonic() + SECONDS
    async with (
        running_redis(tmp_path, APPEND_ONLY) as server,
        running(server.url, TIMES) as one,
        running(server.url, TIMES) as two,
    ):
        faults = Faults(server, random)
        sessions = [
            await process.open(f"{name}{number}")
            for process, name in ((one, "a"), (two, "b"))
            for number in range(20)
        ]

        async def send() -> None:
            while time.monotonic() < until:
                for session in random.sample(sessions, 5):
                    session.send(f"{len(session.image.payloads)} of {session.id}")
                await asyncio.sleep(random.choice([0.0, 0.002, 0.02]))

        async def disturb() -> None:
            while time.monotonic() < until:
                await faults.cause()
                await asyncio.sleep(random.choice([0.0, 0.05, 0.3, 1.0]))

        await asyncio.gather(send(), disturb())
        await until_known(server, (one, two))
        for session in sessions:
            await session.until_stored()
            expected = [f"{number} of {session.id}" for number in range(session.image.last)]
            assert await stored(server, session.id) == expected, (seed, faults.done)
        messages = sum(session.image.last for session in sessions)
        healed = one.store.statistics.healed + two.store.statistics.healed
        tell("a Redis with faults", messages=messages, healed=healed, faults=faults.done)


async def until_known(server: RedisServer, processes: tuple[JournaledProcess, ...]) -> None:
    """Wait until the processes have learned of the last fault: each renews its lease twice."""
    for process in processes:
        key = f"oc1:p:{process.store.name}"
        async with server.client() as client, asyncio.timeout(DEADLINE):
            seen: set[object] = set()
            while len(seen - {None}) < 3:
                seen.add(await client.get(key))
                await asyncio.sleep(0.01)
