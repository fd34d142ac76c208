"""Processes whose sessions are in a real Redis, for tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.journaled_sessions import DEADLINE, JournaledProcess
from tests.support.quick_redis import redis_store
from tests.support.servers.redis import RedisServer
from transport.bus.redis_store import RedisStore
from transport.errors import StoreUnavailable
from transport.limits import Limits
from transport.stores.journaled import JournaledStore
from transport.stores.redis.records import encode_birth, shorten_run
from transport.stores.remote.times import Times

LIMITS = Limits()

QUICK = Times().scaled(0.25)
"""Times for tests in which the server is away: a lease lasts 1.5 s."""


def store_of(shared: RedisStore, hub: str) -> JournaledStore:
    _, store, _ = shared.join(hub, LIMITS)
    assert store is not None
    return store


@asynccontextmanager
async def running(
    source: Any, times: Times = Times(), hub: str = "chat"
) -> AsyncIterator[JournaledProcess]:
    """Run a process, once it has started: with short times a busy machine may need several tries.

    Raises:
        StoreUnavailable: it has not started in time, or, with the usual times, at once.
    """
    shared = redis_store(source, times)
    process = JournaledProcess(store_of(shared, hub))
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await process.store.start(process)
                break
            except StoreUnavailable:
                if times == Times():
                    raise
    try:
        yield process
    finally:
        await process.store.stop()


async def end_grace(server: RedisServer, layout: str = "oc1") -> None:
    """Let the data of a server in this layout be old."""
    async with server.client() as client:
        info = await client.info("server")
        await client.set(f"{layout}:born", encode_birth(shorten_run(info["run_id"]), 0))


async def stored(server: RedisServer, session_id: str = "one") -> list[str]:
    """Return the messages of a session."""
    async with server.client() as client:
        elements: list[Any] = await client.lrange(f"oc1:s:{{{session_id}}}:d", 0, -1)
    return [element.decode() for element in elements]


def numbered(count: int) -> list[str]:
    return [f"message {number}" for number in range(count)]
