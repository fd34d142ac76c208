"""Processes that share a Redis, whatever happens to it, to their connections and to them."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from msgspec import Raw, msgpack

from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import RedisServer, running_redis
from tests.unit.bus.test_unix_bus import Log, forked_child, poll
from transport.bus.interface import NotReached, Pipe
from transport.bus.items import Answer, Call, Cancel, Item
from transport.bus.redis import census, finder, peer, redis_bus, subscription
from transport.bus.redis import connections as redis_connections
from transport.bus.redis.redis_bus import RedisBus
from transport.stores.redis.connections import Connections

DEADLINE = 30.0

PROGRAM = Path(__file__).with_name("redis_process.py")


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bus, "LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(subscription, "SILENT_TICKS", 40)


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
    await poll(lambda: _is_open(bus, name))
    return bus.pipe_to(name)


def _is_open(bus: RedisBus, name: str) -> bool:
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


# The subscriptions


async def test_subscriptions_that_are_cut_are_renewed(redis_server: RedisServer) -> None:
    """CLIENT KILL: pipes end as cut and open again; nobody is taken for dead."""
    async with two(RedisProcesses(redis_server)) as (a, seen_a, b, seen_b):
        async with redis_server.client() as client:
            for round in (1, 2):
                await client.client_kill_filter(_type="pubsub")
                for seen in (seen_a, seen_b):
                    await seen.until(
                        lambda seen=seen, round=round: len(_ended(seen)) >= 2 * round  # type: ignore[misc]
                    )
                await until_open(a, b.name)
                await until_open(b, a.name)
        a.pipe_to(b.name).send(Cancel(1))
        b.pipe_to(a.name).send(Cancel(2))
        await seen_b.until(lambda: Cancel(1) in seen_b.items)
        await seen_a.until(lambda: Cancel(2) in seen_a.items)
        for seen in (seen_a, seen_b):
            assert not [event for event in seen.events if event[0] == "left"]


def _ended(log: Log) -> list[tuple[str, str]]:
    return [event for event in log.events if event[0] == "ended"]


async def test_subscription_that_is_silent_is_renewed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open, and nothing comes: as over a network that lost one side of it."""
    monkeypatch.setattr(subscription, "SILENT_TICKS", 2)
    processes = RedisProcesses(redis_server)
    async with (
        FaultProxy(redis_server.port) as proxy,
        joined(processes) as (a, seen_a),
    ):
        b, seen_b = processes.make(), Log()
        proxied = Connections(f"redis://127.0.0.1:{proxy.port}/0")
        b._subscription._line._connections = proxied
        async with processes.leased(b.name):
            await b.start(seen_b)
            proxy.stall("down")
            a.pipe_to(b.name).send(Cancel(1))
            await proxy.wait_for_connections(2)
            proxy.heal()
            await seen_b.until(lambda: len(_ended(seen_b)) >= 2)
            await until_open(b, a.name)
            b.pipe_to(a.name).send(Cancel(2))
            await seen_a.until(lambda: Cancel(2) in seen_a.items)
            b.stop()
            await b.wait_closed()
        assert Cancel(1) not in seen_b.items


class LossyBus(RedisBus):
    """Loses some of what arrives."""

    chance = random.Random(1)
    loss = 0.1

    def arrived(self, data: bytes) -> None:
        if self.chance.random() >= self.loss:
            super().arrived(data)


async def test_lost_messages_end_the_pipes_and_cost_only_time(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On each pipe comes what was sent on it, from the first item on, and nothing else."""
    monkeypatch.setattr(LossyBus, "loss", 0.1)
    monkeypatch.setattr(redis_bus, "LOOK_INTERVAL", 0.02)
    async with two(RedisProcesses(redis_server, bus=LossyBus)) as (a, seen_a, b, seen_b):
        sent: dict[Pipe, list[Item]] = defaultdict(list)
        taken: dict[Pipe, list[Item]] = defaultdict(list)
        seen_b.received = lambda pipe, item: taken[pipe].append(item)  # type: ignore[method-assign]
        for number in range(100):
            pipe = await until_open(a, b.name)
            sent[pipe].append(Cancel(number))
            pipe.send(Cancel(number))
            await asyncio.sleep(0.001)  # a message of its own
        assert len(sent) > 3, "pipes have ended"
        monkeypatch.setattr(LossyBus, "loss", 0.0)

        async def send_last() -> None:
            while not any(Cancel(1000) in items for items in taken.values()):
                (await until_open(a, b.name)).send(Cancel(1000))
                await asyncio.sleep(0.02)

        async with asyncio.timeout(DEADLINE):
            await send_last()
        sequences = list(sent.values())
        for items in taken.values():
            known = [item for item in items if item != Cancel(1000)]
            assert any(known == one[: len(known)] for one in sequences)
        for seen in (seen_a, seen_b):
            assert not [event for event in seen.events if event[0] == "left"]


async def test_subscriber_that_redis_drops_joins_again(tmp_path: Path) -> None:
    """It is stopped, and what is sent to it fills the buffer that Redis has for it."""
    limit = {"client-output-buffer-limit": "pubsub 64kb 64kb 1"}
    async with (
        running_redis(tmp_path, limit) as server,
        joined(RedisProcesses(server)) as (a, seen),
        program(server) as other,
    ):
        pipe = await until_open(a, other.name)
        other.signal(signal.SIGSTOP)
        number = 0
        while pipe.is_open:
            pipe.send(Call(number, "x" * 100_000, Raw(b"\xc0")))
            number += 1
            await asyncio.sleep(0.001)
        with pytest.raises(NotReached):
            a.pipe_to(other.name)
        other.signal(signal.SIGCONT)
        await exchange(a, seen, other.name)


# Processes


async def test_pipes_to_a_killed_process_end_before_its_lease(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "GONE_AFTER", 0.05)
    async with joined(RedisProcesses(redis_server)) as (a, seen), program(redis_server) as other:
        await until_open(a, other.name)
        other.signal(signal.SIGKILL)
        await seen.until(lambda: ("left", other.name) in seen.events)
        assert seen.events == [
            ("joined", other.name),
            *[("ended", other.name)] * 2,
            ("left", other.name),
        ]
        async with redis_server.client() as client:
            assert await client.get(RedisProcesses(redis_server).keys.process(other.name))
        assert a.is_alive(other.name) is False
        assert not await a.look_for(other.name)


async def test_publication_that_reaches_nobody_ends_the_pipe(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a look."""
    async with joined(RedisProcesses(redis_server)) as (a, seen), program(redis_server) as other:
        pipe = await until_open(a, other.name)
        assert a._watching is not None
        a._watching.cancel()
        other.signal(signal.SIGKILL)
        while pipe.is_open:
            pipe.send(Cancel(1))
            await asyncio.sleep(0.001)
        assert _ended(seen) == [("ended", other.name)] * 2


async def test_stopped_process_lives_as_long_as_its_lease(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "GONE_AFTER", 0.05)
    processes = RedisProcesses(redis_server)
    async with joined(processes) as (a, seen), program(redis_server) as other:
        pipe = await until_open(a, other.name)
        other.signal(signal.SIGSTOP)
        await looks(a, 5)
        assert a.pipe_to(other.name) is pipe
        assert _ended(seen) == []
        async with redis_server.client() as client:
            await client.delete(processes.keys.process(other.name))
        await seen.until(lambda: ("left", other.name) in seen.events)
        assert a.peers == set()
        assert not await a.look_for(other.name)
        other.signal(signal.SIGCONT)
        await exchange(a, seen, other.name)
        assert seen.events[-1] == ("joined", other.name)


async def test_process_that_leaves_is_gone_though_its_lease_lives(
    redis_server: RedisServer,
) -> None:
    processes = RedisProcesses(redis_server)
    async with two(processes) as (a, seen, b, _):
        await b.leave()
        await seen.until(lambda: ("left", b.name) in seen.events)
        await looks(a, 2)
        assert a.peers == set()


async def test_items_are_taken_before_a_process_leaves(redis_server: RedisServer) -> None:
    """More than the window, while the other sends, too."""
    async with two(RedisProcesses(redis_server)) as (a, seen, b, _):
        for number in range(400):
            b.pipe_to(a.name).send(Call(number, "x" * 10_000, Raw(b"\xc0")))
            a.pipe_to(b.name).send(Cancel(number))
        await b.leave()
        assert len(seen.items) == 400
        await seen.until(lambda: ("left", b.name) in seen.events)


async def test_processes_that_leave_together_do_not_wait(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "LEAVE_WITHIN", 3600.0)
    async with asyncio.timeout(DEADLINE), two(RedisProcesses(redis_server)) as (a, _, b, _):
        a.pipe_to(b.name).send(Cancel(1))
        await asyncio.gather(a.leave(), b.leave())


async def test_stopped_process_does_not_keep_another(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "LEAVE_WITHIN", 0.05)
    async with joined(RedisProcesses(redis_server)) as (a, _), program(redis_server) as other:
        pipe = await until_open(a, other.name)
        other.signal(signal.SIGSTOP)
        pipe.send(Cancel(1))
        async with asyncio.timeout(DEADLINE):
            await a.leave()


@pytest.mark.parametrize("bound", ["STUCK_AFTER", "MOST_UNREAD"])
async def test_pipe_to_process_that_takes_nothing_ends(
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bound: str,
) -> None:
    """Memory is bounded however much is sent to a process that is stopped."""
    monkeypatch.setattr(peer, "MAX_UNREAD", 100_000)
    monkeypatch.setattr(peer, bound, 0.0)
    monkeypatch.setattr(redis_bus, "HELLO_WITHIN", 0.05)
    processes = RedisProcesses(redis_server)
    async with processes.stopped() as name, joined(processes) as (a, seen):
        pipe = a.pipe_to(name)
        while pipe.is_open:
            pipe.send(Answer(1, Raw(msgpack.encode("x" * 10_000))))
        await seen.until(lambda: ("ended", name) in seen.events)
        assert "pipe_ended" in caplog.text
        assert a.is_alive(name)


async def test_child_that_is_forked_does_not_stay_subscribed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the others would not learn that its parent is gone."""
    monkeypatch.setattr(redis_bus, "HELLO_WITHIN", 0.05)
    processes = RedisProcesses(redis_server)
    async with joined(processes) as (a, seen), joined(processes) as (b, _):
        await until_open(a, b.name)
        with forked_child():
            await b._disconnect()
            async with redis_server.client() as client:
                channel = processes.keys.process(b.name)

                async def subscribers() -> int:
                    return int((await client.pubsub_numsub(channel))[0][1])

                async with asyncio.timeout(DEADLINE):
                    while await subscribers():  # noqa: ASYNC110 - no event announces it
                        await asyncio.sleep(0.01)
            await seen.until(lambda: len(_ended(seen)) == 2)


def test_process_whose_loop_was_closed_does_not_stay_subscribed(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has stopped its bus before; a new hub does."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    processes = RedisProcesses(redis_server)

    async def start() -> RedisBus:
        bus = processes.make()
        await bus.start(Log())
        return bus

    bus = loop.run_until_complete(start())
    loop.close()
    with redis.Redis.from_url(redis_server.url) as client:
        channel = processes.keys.process(bus.name)
        assert client.pubsub_numsub(channel) == [(channel, 1)]
        bus.stop()

        async def until_left() -> None:
            await poll(lambda: client.pubsub_numsub(channel) == [(channel, 0)])

        asyncio.run(until_left())
    del bus
    gc.collect()


# Redis itself


async def test_paused_redis_ends_no_pipe(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections without an answer are replaced; what was under way comes once, in order."""
    monkeypatch.setattr(redis_connections, "ANSWER_WITHIN", 0.1)
    for module in ("commands", "subscription"):
        monkeypatch.setattr(f"transport.bus.redis.{module}.ANSWER_WITHIN", 0.1)
    async with two(RedisProcesses(redis_server)) as (a, seen_a, b, seen_b):
        lost = a._commands._line._connection
        redis_server.suspend()
        try:
            for number in range(100):
                a.pipe_to(b.name).send(Cancel(number))
            await poll(lambda: a._commands._line._connection is not lost)
        finally:
            redis_server.resume()
        for number in range(100, 200):
            a.pipe_to(b.name).send(Cancel(number))
        await seen_b.until(lambda: len(seen_b.items) >= 200)
        assert seen_b.items == [Cancel(number) for number in range(200)]
        assert _ended(seen_a) == _ended(seen_b) == []


@pytest.mark.parametrize("keep", [True, False])
async def test_redis_that_is_restarted_kills_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    """The pipes end, and open again, though at first nobody has a lease or subscribes."""
    monkeypatch.setattr(census, "GONE_AFTER", 0.0)
    monkeypatch.setattr(finder, "ANSWER_WITHIN", 0.1)
    async with running_redis(tmp_path) as server, two(RedisProcesses(server)) as (a, sa, b, sb):
        await server.save()
        await server.kill()
        first = a.pipe_to(b.name)
        for number in range(20):
            first.send(Cancel(number))
        assert await a.look_for(b.name), "nobody knows"
        await server.restart(keep=keep)
        await sa.until(lambda: len(_ended(sa)) >= 2)
        await sb.until(lambda: len(_ended(sb)) >= 2)
        assert not first.is_open
        await until_open(b, a.name)
        await until_open(a, b.name)
        b.pipe_to(a.name).send(Cancel(1))
        await sa.until(lambda: Cancel(1) in sa.items)
        for seen in (sa, sb):
            assert not [event for event in seen.events if event[0] == "left"]


async def test_redis_that_lost_its_data_kills_nobody(redis_server: RedisServer) -> None:
    """FLUSHALL takes the leases and the registry; the subscriptions stay."""
    async with two(RedisProcesses(redis_server)) as (a, sa, b, sb), redis_server.client() as client:
        await client.flushall()
        for bus in (a, b):
            await bus.look()
            await bus.look()
        await poll(lambda: a.is_alive(b.name) is True)
        assert _ended(sa) == _ended(sb) == []
        async with joined(RedisProcesses(redis_server)) as (c, _):
            await poll(lambda: c.peers == {a.name, b.name})


async def test_redis_that_was_demoted_is_connected_to_again(tmp_path: Path) -> None:
    """What it refuses then is done once another one, or itself, takes it."""
    async with (
        running_redis(tmp_path) as server,
        server.client() as client,
        two(RedisProcesses(server)) as (a, _, b, seen),
    ):
        line = a._commands._line
        first = line._connection
        await client.replicaof("127.0.0.1", "1")
        await poll(lambda: line._connection is not first)
        await client.replicaof("NO", "ONE")
        await a.look()
        (await until_open(a, b.name)).send(Cancel(1))
        await seen.until(lambda: Cancel(1) in seen.items)


async def test_start_without_redis_fails_and_can_be_repeated(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as server:
        processes = RedisProcesses(server)
        bus, log = processes.make(), Log()
        await server.kill()
        with pytest.raises(OSError, match="cannot be used"):
            await bus.start(log)
        await server.restart(keep=False)
        async with joined(processes) as (a, _), processes.leased(bus.name):
            await bus.start(log)
            assert bus.peers == {a.name}
            bus.stop()
            await bus.wait_closed()


async def test_start_that_redis_refuses_says_why(tmp_path: Path) -> None:
    users = {"user": "default on nopass ~oc1:* &other:* +@all"}
    async with running_redis(tmp_path, users) as server:
        bus = RedisProcesses(server).make()
        with pytest.raises(OSError, match=r"(?i)permission"):
            await bus.start(Log())


# What is shared


async def test_hubs_of_other_names_or_prefixes_do_not_meet(redis_server: RedisServer) -> None:
    async with (
        joined(RedisProcesses(redis_server, "one")) as (a, _),
        joined(RedisProcesses(redis_server, "two")) as (b, _),
        joined(RedisProcesses(redis_server, "one", prefix="x:")) as (c, _),
        joined(RedisProcesses(redis_server, "one", prefix="x:")) as (d, _),
    ):
        assert a.peers == b.peers == set()
        assert d.peers == {c.name}
        assert a.is_alive(b.name) is None
        assert not await a.look_for(c.name)


async def test_keys_have_the_prefix_and_a_life(redis_server: RedisServer) -> None:
    processes = RedisProcesses(redis_server, prefix="app:")
    async with redis_server.client() as client:
        async with two(processes) as (a, _, b, _):
            keys = {processes.keys.process(bus.name) for bus in (a, b)}
            assert set(await client.keys()) == {*keys, processes.keys.registry}
            for key in await client.keys():
                assert 0 < await client.pttl(key) <= 10_000
            channels = await client.pubsub_channels()
            assert set(channels) == keys
        assert await client.zcard(processes.keys.registry) == 0


async def test_messages_of_another_version_are_logged_once(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    processes = RedisProcesses(redis_server)
    async with joined(processes) as (a, seen), redis_server.client() as client:
        channel = processes.keys.process(a.name)
        for message in ([2, "x"], [2, "y"], [1, 5], {"a": 1}, [7, a.name, 0, 1, 0, 0, False, []]):
            await client.publish(channel, msgpack.encode(message))
        await poll(lambda: "version=7" in caplog.text)
        assert caplog.text.count("version=2") == 1
        assert seen.events == []


async def test_processes_that_say_nothing_publish_nothing(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except each to itself: pairs of processes cost nothing while they are idle."""
    async with two(RedisProcesses(redis_server)) as (a, _, b, _), redis_server.client() as client:

        async def published() -> int:
            commands = await client.info("commandstats")
            return int(commands["cmdstat_publish"]["calls"])

        for bus in (a, b):
            assert bus._watching is not None
            bus._watching.cancel()
            bus._roster.tick()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(a._commands.flush(), b._commands.flush())
            for _ in range(2):
                await asyncio.gather(a.look(), b.look())
        before = await published()
        for bus in (a, b):
            bus._roster.tick()
        await asyncio.gather(a._commands.flush(), b._commands.flush())
        assert await published() == before
