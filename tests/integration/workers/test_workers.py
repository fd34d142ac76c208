"""Worker processes of real servers share the sessions of a hub."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.integration.workers.conftest import HOSTS
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server
from transport import SessionReset, connect
from transport.client import Pacing

TRANSPORTS = ("websocket", "sse", "longpoll")
COUNT_OF_EACH = 3
"""Clients of each transport."""
MESSAGES = 20
CUTS = 3
DEADLINE = 100.0
PACING = Pacing(retry_base=0.05, retry_max=0.5)


async def chat(url: str, transport: str, count: int, progress: list[int]) -> int:
    """Send messages one by one, and return the process id of the handler."""
    async with connect(url, transports=[transport], pacing=PACING) as channel:
        pid = await channel.receive()
        for number in range(count):
            await channel.send(number)
            assert await channel.receive() == number
            progress.append(number)
        return int(str(pid))


@pytest.mark.parametrize("server", [*HOSTS, "hypercorn"], indirect=True)
async def test_messages_cross_workers_once_and_in_order(server: Server) -> None:
    """Each connection and each request reaches a worker at random."""
    progress: list[int] = []
    async with asyncio.timeout(DEADLINE), FaultProxy(server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/"
        talks = [
            asyncio.create_task(chat(url, transport, MESSAGES, progress))
            for transport in TRANSPORTS * COUNT_OF_EACH
        ]
        for cut in range(1, CUTS + 1):
            due = cut * MESSAGES * len(talks) // (CUTS + 1)
            while len(progress) < due and not any(talk.done() for talk in talks):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            proxy.cut()
        await asyncio.gather(*talks)


async def test_killed_worker_is_told_as_restarted(server: Server) -> None:
    """Its sessions are reset; those of the others go on, also over it."""
    told: list[int] = []

    async def follow(transport: str) -> tuple[int, str]:
        async with connect(f"{server.url}/", transports=[transport], pacing=PACING) as channel:
            pid = int(str(await channel.receive()))
            told.append(pid)
            await killed.wait()
            try:
                for number in range(MESSAGES):
                    await channel.send(number)
                    assert await channel.receive() == number
            except SessionReset as reset:
                return pid, reset.reason
            return pid, "undisturbed"

    killed = asyncio.Event()
    async with asyncio.timeout(DEADLINE):
        follows = [asyncio.create_task(follow(each)) for each in TRANSPORTS * COUNT_OF_EACH]
        while len(told) < len(follows):  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.01)
        victim = told[0]
        os.kill(victim, signal.SIGKILL)
        killed.set()
        outcomes = await asyncio.gather(*follows)
    others = {(pid, "undisturbed") for pid in told if pid != victim}
    assert set(outcomes) == {(victim, "restarted"), *others}
