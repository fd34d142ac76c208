"""Workers that are killed, stopped and replaced while clients talk: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.integration.redis.conftest import COUNT_OF_EACH, IS_FULL
from tests.integration.redis.crew import Crew
from tests.integration.redis.load import Load, load
from tests.integration.redis.rooms import Rooms
from tests.support.browsers.pages import pages
from tests.support.clients.frame_client import TRANSPORTS
from tests.support.clients.members import DEADLINE, PACING, Member, members
from tests.support.faults.tcp_proxy import FaultProxy
from transport import ChannelClosed, Limits, connect
from transport.client import Channel
from transport.stores.redis.keys import Keys

PAGES = [*TRANSPORTS, "websocket"] if IS_FULL else []
"""The transports of members in pages of one Chromium."""
MESSAGES = 100_000 if IS_FULL else 0
KILLS = 30 if IS_FULL else 1
EVERY = 3.0
"""Seconds between two kills, in the full form."""


async def end_workers(
    workers: Crew, talk: Load, crowd: list[Member], number: signal.Signals
) -> int:
    """Send a signal to one worker after the other until there were enough messages.

    It waits while fewer than two serve: the supervisor of uvicorn replaces nobody for seconds if a
    worker ends just when it is asked whether it lives.

    Returns:
        How many.
    """
    draw = random.Random(number)
    ended: list[int] = []
    while len(ended) < KILLS or talk.messages < MESSAGES:
        if IS_FULL:
            await asyncio.sleep(EVERY)
        await workers.until_ready(2, without=ended)
        victims = set(workers.pids) - set(ended)
        if not IS_FULL:
            victims &= {member.pid for member in crowd}
        ended.append(draw.choice(sorted(victims)))
        os.kill(ended[-1], number)
        if not IS_FULL:
            await talk.until_answered()
    return len(ended)


async def test_kills_lose_and_double_nothing(workers: Crew) -> None:
    """What a handler is given again is at most what it was given and the store not yet told."""
    async with (
        members(workers.url, COUNT_OF_EACH) as crowd,
        pages(workers.url, PAGES) as tabs,
    ):
        async with (
            load(crowd, tabs) as talk,
            talk.rooms.announcements(workers.redis.url),
        ):
            kills = await end_workers(workers, talk, crowd, signal.SIGKILL)
        again = workers.given_again()
        talk.tell("killed", workers, kills=kills)
        assert max(again.values(), default=0) <= Limits().unstored * kills


async def test_publication_of_a_killed_handler_may_be_doubled(workers: Crew) -> None:
    """The next handler is given the message again; each member gets both, in one order."""
    async with members(workers.url, 1) as crowd:
        rooms = Rooms(crowd)
        await rooms.join()
        await rooms.publish(crowd[0], die=True)
        await rooms.publish(crowd[0])
        await rooms.until_heard()
        assert rooms.doubled(workers.given()) == 1


async def test_stopped_workers_lose_and_double_nothing(workers: Crew) -> None:
    """A worker that is told to stop gives its sessions to the others."""
    before = workers.given_again()
    async with (
        members(workers.url, COUNT_OF_EACH) as crowd,
        pages(workers.url, PAGES) as tabs,
    ):
        async with load(crowd, tabs) as talk:
            ends = await end_workers(workers, talk, crowd, signal.SIGTERM)
        talk.tell("stopped", workers, ends=ends)
        assert workers.given_again() == before


async def test_rolling_deploy_loses_and_doubles_nothing(workers: Crew) -> None:
    """The server replaces one worker after the other by one of a later release, and back."""
    workers.expected |= {"unknown_item"}
    before = workers.given_again()
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        async with load(crowd) as talk:
            for later in (True, False) if IS_FULL else (True,):
                await workers.deploy(later=later)
                await talk.until_answered()
        talk.tell("rolling deploy", workers)
        assert workers.given_again() == before
    assert workers.count("unknown_item", since) > 0  # that is how an earlier release knows


async def test_worker_that_stood_still_does_no_harm(workers: Crew) -> None:
    """Others go on with its sessions; when it wakes up, it finds that they are not its own."""
    workers.expected |= {"store_slow", "store_quick", "store_gone", "store_back"}
    since = len(workers.server.log)
    async with members(workers.url, COUNT_OF_EACH) as crowd:
        async with load(crowd) as talk:
            # Its requests reach the others; one over WebSocket stays connected, and waits.
            moved = next(member for member in crowd if member.name == "sse-0")
            stopped = moved.pid
            os.kill(stopped, signal.SIGSTOP)
            try:
                if IS_FULL:
                    await asyncio.sleep(8)
                else:
                    await moved.until(lambda: moved.pid != stopped)
            finally:
                os.kill(stopped, signal.SIGCONT)
            if not IS_FULL:
                await workers.until_logged("taken_over", 1, since)
            await talk.until_answered()
        talk.tell("stood still", workers)


@asynccontextmanager
async def connected(url: str, transport: str) -> AsyncIterator[tuple[Channel, int]]:
    """Connect a client; also return the process of its handler."""
    async with (
        asyncio.timeout(DEADLINE),
        connect(url, transports=[transport], pacing=PACING, trust_env=False) as channel,
    ):
        message = await channel.receive()
        assert isinstance(message, dict)
        yield channel, message["pid"]


async def receive_all(channel: Channel) -> None:
    while True:
        await channel.receive()


@pytest.mark.parametrize("transport", TRANSPORTS if IS_FULL else TRANSPORTS[:1])
async def test_last_message_arrives_despite_a_kill(workers: Crew, transport: str) -> None:
    """The handler has sent it and returned, and its process is killed before it has arrived."""
    async with (
        FaultProxy(urlsplit(workers.url).port or 0) as proxy,
        connected(f"http://127.0.0.1:{proxy.port}/", transport) as (channel, pid),
    ):
        workers.gate.unlink(missing_ok=True)
        await channel.send({"part": "bye"})
        # A client that waits for the answer to a POST does not send another.
        while not workers.given(channel.id):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        proxy.stall("down")
        workers.gate.touch()
        async with workers.redis.client() as client:
            while not await client.hget(Keys().record(channel.id), "z"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        proxy.heal()
        proxy.cut("rst")
        assert await channel.receive() == "bye"
        with pytest.raises(ChannelClosed) as closed:
            await channel.receive()
        assert closed.value.code == 1000


async def test_message_that_kills_its_process_is_given_up(workers: Crew) -> None:
    """At most four processes die of it; sessions that move with it live."""
    async with members(workers.url, 1) as crowd:
        async with connected(workers.url, "websocket") as (channel, _):
            await channel.send({"die": True})
            with pytest.raises(ChannelClosed) as closed:
                await receive_all(channel)
            assert closed.value.code == 1011
            assert 1 < workers.given(channel.id).total() <= 4
        for member in crowd:
            await member.echo()
            assert member.resets == []
