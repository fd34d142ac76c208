"""A worker that is told to stop, and its clients."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.integration.workers.conftest import COUNT, IS_FULL, REPLACING
from tests.integration.workers.members import DEADLINE, members
from tests.support.servers.uvicorn import Server
from transport.errors import Fate, Unacknowledged

COUNT_OF_EACH = 30 if IS_FULL else 3


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


@pytest.mark.parametrize("server", REPLACING, indirect=True)
async def test_replaced_workers_tell_shutdown(server: Server) -> None:
    """On SIGHUP a server replaces one worker after the other."""
    async with members(f"{server.url}/", COUNT_OF_EACH) as crowd, asyncio.timeout(DEADLINE):
        started = sum(server.host.ready in line for line in server.log)
        os.kill(server.pid, signal.SIGHUP)
        await server.until_log(server.host.ready, started + COUNT)
        for member in crowd:
            await member.until(lambda member=member: member.resets)  # type: ignore[misc]
        await asyncio.gather(*[member.echo() for member in crowd])
        assert {reason for member in crowd for reason in member.resets} == {"shutdown"}
