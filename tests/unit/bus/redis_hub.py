"""Processes of a hub on Redis: in the event loop of a test, and one of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import RedisServer
from tests.unit.bus.test_unix_bus import Log, poll
from transport.bus.interface import Pipe
from transport.bus.items import Cancel
from transport.bus.redis.redis_bus import RedisBus

DEADLINE = 30.0

PROGRAM = Path(__file__).with_name("redis_process.py")


@asynccontextmanager
async def joined(processes: RedisProcesses) -> AsyncIterator[tuple[RedisBus, Log]]:
    """A process of the test, and what it is told."""
    log = Log()
    async with processes.started(log) as bus:
        yield bus, log


@asynccontextmanager
async def two(processes: RedisProcesses) -> AsyncIterator[tuple[RedisBus, Log, RedisBus, Log]]:
    """Two processes with pipes both ways."""
    async with joined(processes) as (a, seen_a), joined(processes) as (b, seen_b):
        await seen_a.until(lambda: len(seen_a.ways) == 2)
        yield a, seen_a, b, seen_b


class Program:
    """A process of its own, on the hub of the tests.

    Attributes:
        name: of the process.
    """

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.name = name
        self._process = process

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@asynccontextmanager
async def program(server: RedisServer) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), server.url, "hub"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            name = await process.stdout.readline()
        yield Program(process, name.decode().strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_open(bus: RedisBus, name: str) -> Pipe:
    """Wait for pipes both ways."""
    await poll(lambda: is_open(bus, name))
    return bus.pipe_to(name)


def is_open(bus: RedisBus, name: str) -> bool:
    peer = bus._roster.peers.get(name)
    return peer is not None and peer.is_reached and not peer.is_opening


async def exchange(bus: RedisBus, log: Log, name: str) -> None:
    """Send an item to a process that sends it back, again if the pipe ends."""
    number = len(log.items) + 1000
    async with asyncio.timeout(DEADLINE):
        while Cancel(number) not in log.items:
            pipe = await until_open(bus, name)
            pipe.send(Cancel(number))
            await poll(lambda pipe=pipe: not pipe.is_open or Cancel(number) in log.items)  # type: ignore[misc]


async def looks(bus: RedisBus, count: int) -> None:
    """Look some times; each look shows what the lease does between them."""
    for _ in range(count):
        await asyncio.sleep(0.06)
        await bus.look()


def ended(log: Log) -> list[tuple[str, str]]:
    return [event for event in log.events if event[0] == "ended"]
