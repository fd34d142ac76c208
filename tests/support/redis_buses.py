"""Processes that share a Redis, here buses in one event loop, each with a lease."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio

from tests.support.servers.redis import RedisServer
from transport.bus.interface import Receiver
from transport.bus.redis.keys import Keys
from transport.bus.redis.redis_bus import RedisBus
from transport.bus.shared import Joined, SharedStore
from transport.limits import Limits
from transport.stores.redis.connections import Connections

LEASE = 6000
"""Milliseconds that a lease lasts."""

RENEWAL_INTERVAL = 0.1


class Lease:
    """The lease of a process, in the place of what the store does.

    Args:
        server: that it is kept in.
        keys: of the hub.
        name: of the process.
    """

    def __init__(self, server: RedisServer, keys: Keys, name: str) -> None:
        self._client = server.client()
        self._key = keys.process(name)
        self._counts = itertools.count()
        self._renewing: asyncio.Task[None] | None = None
        self._has_ended = False

    async def renew(self) -> None:
        """Renew it once."""
        await self._client.set(self._key, next(self._counts), px=LEASE)

    async def begin(self) -> None:
        """Renew it from now on."""
        await self.renew()
        self._renewing = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        while not self._has_ended:
            await asyncio.sleep(RENEWAL_INTERVAL)
            with suppress(redis.RedisError, OSError):  # Redis is gone for now
                await self.renew()

    async def stop(self) -> None:
        """Renew it no longer; it lasts for its rest."""
        self._has_ended = True
        if self._renewing is not None:
            self._renewing.cancel()  # of Python 3.11, `wait_for` in redis-py may swallow it
            await asyncio.wait([self._renewing])
        await self._client.aclose()


class RedisProcesses:
    """Starts processes of one hub.

    Args:
        server: that they share.
        hub: the name of the hub.
        prefix: of its keys.
        bus: the class of their buses.
    """

    def __init__(
        self,
        server: RedisServer,
        hub: str = "hub",
        prefix: str = "",
        bus: type[RedisBus] = RedisBus,
    ) -> None:
        self.keys = Keys(hub, prefix)
        self._server = server
        self._bus = bus

    def make(self) -> RedisBus:
        """Return the bus of a new process."""
        connections = Connections(self._server.url)
        return self._bus(connections, self.keys, self.keys.new_name(), b"s" * 32)

    @asynccontextmanager
    async def leased(self, name: str) -> AsyncIterator[Lease]:
        """Keep the lease of a process."""
        lease = Lease(self._server, self.keys, name)
        await lease.begin()
        try:
            yield lease
        finally:
            await lease.stop()

    @asynccontextmanager
    async def started(self, receiver: Receiver) -> AsyncIterator[RedisBus]:
        """Start the bus of a process."""
        bus = self.make()
        async with self.leased(bus.name):
            await bus.start(receiver)
            try:
                yield bus
            finally:
                bus.stop()
                await bus.wait_closed()

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[str]:
        """Let a process exist that takes nothing, as one that was stopped; return its name."""
        name = self.keys.new_name()
        async with self.leased(name), self._server.client() as client:
            subscription = client.pubsub()
            await subscription.subscribe(self.keys.process(name))
            seconds, microseconds = await client.time()
            now = seconds * 1000 + microseconds // 1000
            await client.zadd(self.keys.registry, {name: now})
            yield name
            await subscription.aclose()  # type: ignore[no-untyped-call]


class RedisWorkers(SharedStore):
    """In the place of `Workers`: the processes of a hub share a Redis, and their leases live.

    Sessions live in the memory of their processes, as with `Workers`.

    Args:
        server: that they share.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._buses: list[RedisBus] = []
        self._leases: list[Lease] = []
        self._beginning: set[asyncio.Task[None]] = set()

    def join(self, hub: str, limits: Limits) -> Joined:
        """See `SharedStore.join`."""
        processes = RedisProcesses(self._server, hub)
        bus = processes.make()
        lease = Lease(self._server, processes.keys, bus.name)
        task = asyncio.get_running_loop().create_task(lease.begin())
        self._beginning.add(task)
        self._buses.append(bus)
        self._leases.append(lease)
        return Joined(bus, None)

    async def stop(self) -> None:
        """End what its buses, which have stopped, still have."""
        for task in self._beginning:
            await task
        for bus, lease in zip(self._buses, self._leases, strict=True):
            await bus.wait_closed()
            await lease.stop()
