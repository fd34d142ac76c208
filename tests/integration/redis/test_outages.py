"""A Redis that is slow, gone, empty, or that cuts connections: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.integration.redis.conftest import COUNT, COUNT_OF_EACH, FACTOR, IS_FULL
from tests.integration.redis.crew import Crew
from tests.integration.redis.load import load
from tests.support.clients.members import Member, members
from tests.support.faults.tcp_proxy import FaultProxy
from transport.stores.redis.keys import Keys


async def test_flushall_resets_no_session_of_a_living_home(workers: Crew) -> None:
    """Sessions that talk and those that are idle are written again."""
    workers.expected |= {"store_lost"}
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd, members(workers.url, 1) as idle:
        async with load(crowd) as talk, workers.redis.client() as client:
            await client.flushall()
            await workers.until_logged("store_lost", COUNT, since)
            await talk.until_answered()
        for member in idle:
            record = Keys().record(member.channel.id)
            async with workers.redis.client() as client:
                while not await client.exists(record):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await member.echo()
            assert member.resets == []
        talk.tell("flushed", workers)
        assert workers.count("took_over", since) == 0


async def test_deleted_session_of_a_living_home_goes_on(workers: Crew) -> None:
    """Its home has not noticed that its key is gone when a page reaches another process."""
    async with (
        FaultProxy(urlsplit(workers.url).port or 0) as proxy,
        members(f"http://127.0.0.1:{proxy.port}/", 8, ["websocket"]) as crowd,
    ):
        async with workers.redis.client() as client:
            for member in crowd:
                assert await client.delete(Keys().record(member.channel.id))
        proxy.cut("rst")
        for member in crowd:
            await member.echo()
            assert member.resets == []


async def test_subscribers_that_are_cut_lose_no_session(workers: Crew) -> None:
    """Their processes live, so that nobody claims their sessions."""
    workers.expected |= {"subscription_renewed"}
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        async with load(crowd) as talk, workers.redis.client() as client:
            await client.client_kill_filter(_type="pubsub")
            await workers.until_logged("subscription_renewed", 1, since)
            await talk.until_answered()
        talk.tell("subscribers cut", workers)
        assert workers.count("took_over", since) == 0


async def test_redis_that_is_gone_cuts_no_connection(workers: Crew) -> None:
    """It is gone for longer than a lease, and what was sent meanwhile arrives then."""
    workers.expected |= {"store_slow", "store_quick", "store_gone", "store_back"}
    await workers.until_ready()
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        async with load(crowd) as talk:
            await talk.until_answered()
            before = attaches(crowd)
            workers.redis.suspend()
            try:
                await workers.until_logged("store_gone", COUNT, since)
                if IS_FULL:
                    await asyncio.sleep(4)
            finally:
                workers.redis.resume()
            await talk.until_answered()
        talk.tell("gone for more than a lease", workers)
        assert attaches(crowd) == before
        assert workers.count("took_over", since) == 0


def attaches(crowd: Sequence[Member]) -> dict[str, int]:
    """Return how many connections each member has had."""
    return {member.name: member.channel.statistics().attaches for member in crowd}


async def test_session_whose_key_is_wrong_is_reset_alone(workers: Crew) -> None:
    workers.expected |= {"store_refused", "write_refused"}
    async with (
        members(workers.url, 1) as crowd,
        members(workers.url, 1, ["websocket"]) as [victim],
        load(crowd) as talk,
    ):
        async with workers.redis.client() as client:
            log = Keys().log(victim.channel.id)
            await client.delete(log)
            await client.set(log, "wrong")
        await victim.echo()
        await victim.until_served()
        assert victim.resets == ["store_lost"]
        await talk.until_answered()


async def test_pause_past_the_deadline_then_kill_loses_nothing(workers: Crew) -> None:
    """What was not stored in time is stored then, or the client sends it again."""
    workers.expected |= {"store_slow", "store_quick", "store_gone", "store_back"}
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        async with load(crowd) as talk:
            await workers.redis.pause(7 * FACTOR)
            async with workers.redis.client() as client:
                await client.ping()  # it answers after the pause; a worker cannot start before
            os.kill(crowd[0].pid, signal.SIGKILL)
            await talk.until_answered()
        talk.tell("paused and killed", workers)
