"""Workers that die, are told to stop, or stand still, and the clients of all."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.workers.conftest import IS_FULL, REPLACING
from tests.integration.workers.requests import ask
from tests.support.clients.frame_client import open_frame
from tests.support.clients.members import DEADLINE, members
from tests.support.servers.uvicorn import Server
from transport.errors import Fate, Unacknowledged

COUNT_OF_EACH = 20 if IS_FULL else 3
"""Clients of each transport."""
STOPPED_FOR = 8.0 if IS_FULL else 0.0
"""Seconds that a worker stands still at least."""


async def test_killed_worker_is_told_as_restarted(server: Server) -> None:
    """Its sessions are reset; those of the others go on, also those that were connected to it."""
    async with members(f"{server.url}/", COUNT_OF_EACH) as crowd, asyncio.timeout(DEADLINE):
        victim = crowd[0].pid
        ours = [member for member in crowd if member.pid == victim]
        others = [member for member in crowd if member.pid != victim]
        told = asyncio.gather(*[member.until_reset() for member in ours])
        os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*[member.echo() for member in others])
        await told
        assert {(*member.resets,) for member in ours} == {("restarted",)}
        assert {(*member.resets,) for member in others} <= {()}


async def test_terminated_worker_tells_true_fates(server: Server) -> None:
    """Its clients read ``shutdown``, over whichever worker; those of the others go on."""
    async with members(f"{server.url}/", COUNT_OF_EACH) as crowd, asyncio.timeout(DEADLINE):
        victim = crowd[0].pid
        ours = [member for member in crowd if member.pid == victim]
        others = [member for member in crowd if member.pid != victim]
        sends: list[list[int]] = []
        for member in ours:
            await member.echo()
            first = member.channel.statistics().sent
            sends.append([first, *[await member.channel.send(text) for text in ({"hold": 1}, "x")]])
            await member.channel.acknowledged(first)
            await member.until(lambda member=member: member.is_held)  # type: ignore[misc]
        os.kill(victim, signal.SIGTERM)
        for member, (handled, held, unread) in zip(ours, sends, strict=True):
            await member.until(lambda member=member: member.resets)  # type: ignore[misc]
            assert member.resets == ["shutdown"]
            await member.channel.acknowledged(handled)
            for number, fate in ((held, Fate.UNKNOWN), (unread, Fate.NOT_HANDLED)):
                with pytest.raises(Unacknowledged) as raised:
                    await member.channel.acknowledged(number)
                assert raised.value.fate is fate
            await member.until_served()
        for member in others:
            await member.echo()
            assert member.resets == []


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("server", REPLACING, indirect=True, scope="module")
async def test_stopped_worker_is_unavailable_never_restarted(server: Server) -> None:
    """Its sessions wait; the groups of the others go on, and nobody misses a message unnoticed.

    This test is the last one: a worker that was stopped resets its members to be safe if another
    one dies soon.
    """
    _, [opened, *data] = await ask(server, "poll", open_frame())
    session = {key: opened[key] for key in ("session", "client", "attach", "epoch")}
    if not data:
        _, data = await ask(server, "poll", {"type": "poll", **session, "poll": 1, "ack": 0})
    victim = data[0][-1]["pid"]
    async with members(f"{server.url}/", COUNT_OF_EACH) as early, asyncio.timeout(DEADLINE):
        began = time.monotonic()
        with stopped(victim):
            send = asyncio.create_task(ask(server, "send", {"type": "send", **session}))
            async with members(f"{server.url}/", COUNT_OF_EACH, first=100) as late:
                assert victim not in {member.pid for member in late}
                await asyncio.gather(*[member.echo() for member in late])
                await asyncio.gather(*[member.say() for member in late])
                for member in late:
                    for other in late:
                        await member.until_heard(other)
                again = open_frame(**{**session, "attach": 2})
                for status, [error] in (await send, await ask(server, "poll", again)):
                    assert (status, error["code"]) == (503, "unavailable")
                    assert error["retry_in"] > 0
                await asyncio.sleep(max(0, began + STOPPED_FOR - time.monotonic()))
                said = {other.name: [1] for other in late}
        await asyncio.gather(*[member.echo() for member in early])
        for member in early:
            if not member.resets:
                await member.until(lambda member=member: dict(member.heard) == said)  # type: ignore[misc]
            assert member.resets in ([], ["overflow"])
            assert {*said} >= {*member.heard}
    _, [answer, *_] = await ask(server, "poll", open_frame(**{**session, "attach": 3}))
    assert answer["verdict"] == "resumed" or answer["reset"]["reason"] == "overflow"
