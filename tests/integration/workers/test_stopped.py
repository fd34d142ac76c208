"""A worker that stands still, such as one that the system gives no time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.workers.conftest import HOSTS, IS_FULL
from tests.integration.workers.members import DEADLINE, members
from tests.integration.workers.requests import ask
from tests.support.clients.frame_client import open_frame
from tests.support.servers.uvicorn import Server

COUNT_OF_EACH = 20 if IS_FULL else 3
STOPPED_FOR = 8.0 if IS_FULL else 0.0
"""Seconds that the worker stands still at least."""


PATIENT = ["uvicorn --timeout-worker-healthcheck 60", *HOSTS[1:]]
"""Servers that do not replace such a worker, as uvicorn does after 5 s."""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("server", PATIENT, indirect=True)
async def test_stopped_worker_is_unavailable_never_restarted(server: Server) -> None:
    """Its sessions wait; the groups of the others go on, and nobody misses a message unnoticed."""
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
