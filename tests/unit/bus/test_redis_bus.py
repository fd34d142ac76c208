"""Processes that share a Redis: lost messages, cut subscriptions, and what others may see."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import defaultdict
from pathlib import Path

import pytest
from msgspec import Raw, msgpack

from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import RedisServer, running_redis
from tests.unit.bus.redis_hub import (
    DEADLINE,
    ended,
    exchange,
    joined,
    program,
    two,
    until_open,
)
from tests.unit.bus.test_unix_bus import Log, poll
from transport.bus.interface import NotReached, Pipe
from transport.bus.items import Call, Cancel, Item
from transport.bus.redis import redis_bus, subscription
from transport.bus.redis.redis_bus import RedisBus
from transport.stores.redis.connections import Connections


async def test_subscriptions_that_are_cut_are_renewed(redis_server: RedisServer) -> None:
    """CLIENT KILL: pipes end as cut and open again; nobody is taken for dead."""
    async with two(RedisProcesses(redis_server)) as (a, seen_a, b, seen_b):
        async with redis_server.client() as client:
            for round in (1, 2):
                await client.client_kill_filter(_type="pubsub")
                for seen in (seen_a, seen_b):
                    await seen.until(
                        lambda seen=seen, round=round: len(ended(seen)) >= 2 * round  # type: ignore[misc]
                    )
                await until_open(a, b.name)
                await until_open(b, a.name)
        a.pipe_to(b.name).send(Cancel(1))
        b.pipe_to(a.name).send(Cancel(2))
        await seen_b.until(lambda: Cancel(1) in seen_b.items)
        await seen_a.until(lambda: Cancel(2) in seen_a.items)
        for seen in (seen_a, seen_b):
            assert not [event for event in seen.events if event[0] == "left"]


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
            await seen_b.until(lambda: len(ended(seen_b)) >= 2)
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
