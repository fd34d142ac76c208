"""A Redis that is gone for a minute. This takes long: see `conftest`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.redis.conftest import COUNT, COUNT_OF_EACH
from tests.integration.redis.crew import Crew
from tests.integration.redis.load import load
from tests.support.clients.members import members

GONE = 60.0
MIB = 1024 * 1024
GROWTH = 64 * MIB
"""Bytes that a worker may need beyond what it had."""


def memory(pid: int) -> int:
    """Return the bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_redis_gone_for_a_minute_drains_clients_once(workers: Crew) -> None:
    """Each worker tells its clients once to look for another one, and keeps little for them."""
    workers.expected |= {"store_slow", "store_quick", "store_gone", "store_back"}
    workers.expected |= {"store_unreachable"}
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        # A handler that publishes meanwhile gets `StoreUnavailable`.
        async with load(crowd, publishes=0) as talk:
            await talk.until_answered()
            pids = workers.pids
            before = {pid: memory(pid) for pid in pids}
            workers.redis.suspend()
            try:
                await asyncio.sleep(GONE)
                growth = max(memory(pid) - before[pid] for pid in pids)
            finally:
                workers.redis.resume()
            await talk.until_answered()
        talk.tell("gone for a minute", workers, growth=f"{growth / MIB:.1f} MiB")
        assert workers.pids == pids
        assert workers.count("store_unreachable", since) == COUNT
        assert growth < GROWTH
