"""Workers that are replaced one after the other, as for a new release, and their clients."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.integration.workers.conftest import COUNT, REPLACING
from tests.support.clients.members import DEADLINE, members
from tests.support.servers.uvicorn import Server

COUNT_OF_EACH = 20


@pytest.mark.parametrize("server", REPLACING, indirect=True, scope="module")
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
