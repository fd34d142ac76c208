"""`RedisStore` with Sentinel: when the master fails, the homes write their sessions to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from redis.asyncio.sentinel import Sentinel

from tests.support.journaled_sessions import DEADLINE
from tests.support.redis_processes import QUICK, running, stored
from tests.support.servers.process import Process
from tests.support.servers.redis import RedisServer, running_redis
from tests.support.servers.uvicorn import free_port

NAME = "sessions"

SETTINGS = """
bind 127.0.0.1
port {port}
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 1
sentinel down-after-milliseconds {name} 300
sentinel failover-timeout {name} 3000
"""


@asynccontextmanager
async def watching(folder: Path, master: RedisServer) -> AsyncIterator[Sentinel]:
    """Run a Sentinel that replaces the master when that is silent for 0.3 s."""
    port = free_port()
    configuration = folder / "sentinel.conf"
    configuration.write_text(
        SETTINGS.format(port=port, folder=folder, name=NAME, master=master.port), "utf-8"
    )
    program = Process("sentinel", ["redis-server", str(configuration), "--sentinel"], folder)
    sentinel = Sentinel([("127.0.0.1", port)])  # type: ignore[no-untyped-call]
    try:
        await program.start([port])
        with anyio.fail_after(DEADLINE):
            while not await sentinel.sentinels[0].sentinel_slaves(NAME):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        yield sentinel
    finally:
        await sentinel.aclose()
        await program.stop()


async def test_failover_loses_nothing_of_living_homes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("master", "replica", "sentinel")]
    for folder in folders:
        folder.mkdir()
    async with running_redis(folders[0]) as master:
        following = {"replicaof": f"127.0.0.1 {master.port}", "repl-diskless-sync-delay": "0"}
        async with (
            running_redis(folders[1], following) as replica,
            watching(folders[2], master) as sentinel,
            sentinel.master_for(NAME) as client,
            running(client, QUICK) as process,
        ):
            session, idle = await process.open("one"), await process.open("idle")
            session.send("one")
            await session.until_stored()
            run = process.store.run
            master.suspend()
            session.send("two")
            await process.until_told("lost")
            await session.until_stored()
            await idle.until_stored()
            assert process.store.run != run
            assert await stored(replica) == ["one", "two"]
            session.send("three")
            master.resume()
            await session.until_stored()
            assert await stored(replica) == ["one", "two", "three"]
