"""Processes on Redis that are killed, stopped or forked, or that leave."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

import pytest
import redis
from msgspec import Raw, msgpack

from tests.support.redis_buses import RedisProcesses
from tests.support.servers.redis import RedisServer
from tests.unit.bus.redis_hub import (
    DEADLINE,
    ended,
    exchange,
    joined,
    looks,
    program,
    two,
    until_open,
)
from tests.unit.bus.test_unix_bus import Log, forked_child, poll
from transport.bus import unread
from transport.bus.items import Answer, Call, Cancel
from transport.bus.redis import census, redis_bus
from transport.bus.redis.redis_bus import RedisBus


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
        assert ended(seen) == [("ended", other.name)] * 2


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
        assert ended(seen) == []
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
    monkeypatch.setattr(unread, "MAX_UNREAD", 100_000)
    monkeypatch.setattr(unread, bound, 0.0)
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
            await seen.until(lambda: len(ended(seen)) == 2)


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
