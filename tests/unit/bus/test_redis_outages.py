"""A Redis that is paused, restarted, flushed, demoted, or does not let a process in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import RedisServer, running_redis
from tests.unit.bus.redis_hub import (
    ended,
    joined,
    two,
    until_open,
)
from tests.unit.bus.test_unix_bus import Log, poll
from transport.bus.items import Cancel
from transport.bus.redis import census, finder
from transport.bus.redis import connections as redis_connections
from transport.errors import StoreUnavailable


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
        assert ended(seen_a) == ended(seen_b) == []


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
        await sa.until(lambda: len(ended(sa)) >= 2)
        await sb.until(lambda: len(ended(sb)) >= 2)
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
        assert ended(sa) == ended(sb) == []
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
        with pytest.raises(StoreUnavailable, match="nothing listens"):
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
        with pytest.raises(StoreUnavailable, match="NOPERM"):
            await bus.start(Log())
