"""The contract of `Bus`, of each implementation: pipes are ordered, ends are told to both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec import Raw

from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import running_redis
from tests.unit.bus.test_unix_bus import Log, close_transports, poll
from transport.bus import unix_bus
from transport.bus.directory import Directory
from transport.bus.interface import Bus, NotReached
from transport.bus.items import Call, Cancel, Item
from transport.bus.redis import redis_bus
from transport.bus.unix_bus import UnixBus
from transport.testing import JumpingEventLoop
from transport.testing.memory_bus import MemoryBus, MemoryNetwork
from transport.testing.suspension import Part, SuspendableLoop


class Processes(Protocol):
    """Starts processes that share a bus."""

    def joined(self) -> AbstractAsyncContextManager[tuple[Bus, Log]]:
        """Start the bus of a process; return it, and what it tells."""
        ...

    def stopped(self) -> AbstractAsyncContextManager[str]:
        """Let a process exist that takes nothing; return its name."""
        ...


class UnixProcesses:
    """On Unix sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "w"

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[Bus, Log]]:
        bus, log = UnixBus(Directory("hub", self._folder)), Log()
        await bus.start(log)
        try:
            yield bus, log
        finally:
            bus.stop()
            await close_transports()

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[str]:
        """The kernel accepts for it."""
        directory = Directory("hub", self._folder)
        name = f"{directory.tag}00000000"
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(directory.socket(name)))
            one.listen()
            yield name


class MemoryProcesses:
    """In memory. What passes takes a moment."""

    def __init__(self) -> None:
        self._network = MemoryNetwork(lambda: 0.001)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[Bus, Log]]:
        bus, log = MemoryBus(self._network), Log()
        await bus.start(log)
        try:
            yield bus, log
        finally:
            bus.stop()

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[str]:
        part, loop = Part(), asyncio.get_running_loop()
        bus = part.context().run(MemoryBus, self._network)
        await loop.create_task(bus.start(Log()))
        assert isinstance(loop, SuspendableLoop)
        loop.suspend(part)
        yield bus.name


class RedisHub:
    """Over a Redis of its own."""

    def __init__(self, processes: RedisProcesses) -> None:
        self._processes = processes

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[Bus, Log]]:
        log = Log()
        async with self._processes.started(log) as bus:
            yield bus, log

    def stopped(self) -> AbstractAsyncContextManager[str]:
        """It subscribes, and its lease has not ended yet."""
        return self._processes.stopped()


@pytest.fixture(params=["unix", "memory", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend(kind: str) -> Any:
    """Sockets need an ordinary event loop."""
    loop = JumpingEventLoop if kind == "memory" else asyncio.SelectorEventLoop
    return "asyncio", {"loop_factory": loop}


@pytest.fixture
async def processes(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Processes]:
    for module in (unix_bus, redis_bus):
        monkeypatch.setattr(module, "LOOK_INTERVAL", 0.05)
        monkeypatch.setattr(module, "HELLO_WITHIN", 0.2)
    if kind == "redis":
        async with running_redis(folder) as server:
            yield RedisHub(RedisProcesses(server))
    else:
        yield UnixProcesses(folder) if kind == "unix" else MemoryProcesses()


async def test_processes_find_each_other_in_any_order(processes: Processes) -> None:
    async with (
        processes.joined() as (a, seen_a),
        processes.joined() as (b, _),
        processes.joined() as (c, _),
    ):
        # The last one knows all when it has started; the others learn of it from its pipe.
        assert c.peers == {a.name, b.name}
        await seen_a.until(lambda: set(a.peers) == {b.name, c.name})
        assert seen_a.events == [("joined", b.name), ("joined", c.name)]
        assert [a.is_alive(each.name) for each in (a, b, c)] == [True] * 3
        assert a.secret == b.secret == c.secret
        assert {len(each.name) for each in (a, b, c)} == {12}


async def test_processes_that_start_together_find_each_other(processes: Processes) -> None:
    started = [processes.joined() for _ in range(4)]
    all_of_them = await asyncio.gather(*(each.__aenter__() for each in started))
    for bus, log in all_of_them:
        await log.until(lambda bus=bus: len(bus.peers) == 3)  # type: ignore[misc]
    for each in started:
        await each.__aexit__(None, None, None)


async def test_start_returns_with_pipes_both_ways(processes: Processes) -> None:
    async with processes.joined() as (a, seen_a), processes.joined() as (b, seen_b):
        assert b.pipe_to(a.name).is_open
        assert b.receives_from(a.name)
        assert sorted(seen_b.ways) == [(a.name, False), (a.name, True)]
        await seen_a.until(lambda: len(seen_a.ways) == 2)
        assert sorted(seen_a.ways) == [(b.name, False), (b.name, True)]


async def test_items_arrive_in_order_both_ways(processes: Processes) -> None:
    async with processes.joined() as (a, seen_a), processes.joined() as (b, seen_b):
        pipe = b.pipe_to(a.name)
        large = Call(7, "x" * 3_000_000, Raw(b"\xc0"))
        sent: list[Item] = [Cancel(1), large, *map(Cancel, range(2, 500))]
        for item in sent:
            pipe.send(item)
        await seen_a.until(lambda: len(seen_a.items) == len(sent))
        assert seen_a.items == sent
        [back] = seen_a.pipes
        assert (back.peer, back.is_own, pipe.is_own) == (b.name, False, True)
        for item in sent:
            back.send(item)
        await seen_b.until(lambda: len(seen_b.items) == len(sent))
        assert seen_b.items == sent
        assert seen_b.pipes == [pipe]


async def test_item_is_encoded_when_it_is_sent(processes: Processes) -> None:
    """What cannot pass to another process raises at once, and what passes is a copy."""
    async with processes.joined() as (a, seen), processes.joined() as (b, _):
        pipe = b.pipe_to(a.name)
        with pytest.raises(TypeError):
            pipe.send(Call(1, object(), Raw(b"\xc0")))  # type: ignore[arg-type]
        item = Cancel(2)
        pipe.send(item)
        await seen.until(lambda: bool(seen.items))
        assert seen.items == [item]
        assert seen.items[0] is not item


async def test_process_that_stops_is_told_after_its_pipes(processes: Processes) -> None:
    async with processes.joined() as (a, seen), processes.joined() as (b, _):
        await seen.until(lambda: a.receives_from(b.name))
        b.pipe_to(a.name).send(Cancel(1))
        b.stop()
        await seen.until(lambda: ("left", b.name) in seen.events)
        assert seen.items == [Cancel(1)], "what was sent before arrives"
        assert seen.events[0] == ("joined", b.name)
        assert sorted(seen.events[1:-1]) == [("ended", b.name)] * 2
        assert a.peers == set()
        assert a.is_alive(b.name) is False
        assert not await a.look_for(b.name)
        assert not a.receives_from(b.name)
        with pytest.raises(NotReached):
            a.pipe_to(b.name)


async def test_name_that_is_not_of_a_process_is_not_known(processes: Processes) -> None:
    async with processes.joined() as (a, _):
        assert [a.is_alive(name) for name in ("", "x" * 12, a.name + "0")] == [None] * 3


@pytest.mark.parametrize("is_own", [True, False])
async def test_pipe_that_is_cut_is_told_to_both(processes: Processes, is_own: bool) -> None:
    """And opened anew, by the process that had opened it."""
    async with processes.joined() as (a, seen_a), processes.joined() as (b, seen_b):
        await seen_a.until(lambda: a.receives_from(b.name))
        first = b.pipe_to(a.name)
        first.send(Cancel(1))
        await seen_a.until(lambda: bool(seen_a.items))
        (first if is_own else seen_a.pipes[0]).end()
        for seen, other in ((seen_a, b), (seen_b, a)):
            await seen.until(lambda s=seen, o=other: ("ended", o.name) in s.events)  # type: ignore[misc]
        first.send(Cancel(2))  # nothing
        await poll(lambda: seen_a.ways.count((b.name, False)) == 2)
        await poll(lambda: seen_b.ways.count((a.name, True)) == 2)
        b.pipe_to(a.name).send(Cancel(3))
        await seen_a.until(lambda: len(seen_a.items) == 2)
        assert seen_a.items == [Cancel(1), Cancel(3)]
        told = [what for what, _ in seen_a.events + seen_b.events]
        assert sorted(told) == ["ended", "ended", "joined", "joined"]


async def test_process_that_is_stopped_lives(processes: Processes) -> None:
    """It takes nothing, and delays nobody for long."""
    async with processes.stopped() as name, processes.joined() as (a, seen):
        assert a.is_alive(name)
        assert seen.events == [("joined", name)]
        assert not a.receives_from(name)
        pipe = a.pipe_to(name)
        pipe.send(Cancel(1))
        assert pipe.is_open
        assert seen.ways == []
