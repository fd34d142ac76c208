"""Worker processes of real servers share the sessions of a hub, and its groups."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.workers.conftest import HOSTS
from tests.integration.workers.requests import ask
from tests.support.clients.frame_client import open_frame
from tests.support.clients.members import DEADLINE, Member, members
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server

COUNT_OF_EACH = 3
"""Clients of each transport."""
MESSAGES = 20
CUTS = 3
RACES = 10
RACERS = 6


async def talk(member: Member) -> None:
    for number in range(MESSAGES):
        await member.echo()
        if number % 5 == 0:
            await member.say()


@pytest.mark.parametrize("server", [*HOSTS, "hypercorn"], indirect=True, scope="module")
async def test_messages_cross_workers_once_and_in_order(server: Server) -> None:
    """Each connection and each request reaches a worker at random."""
    async with (
        FaultProxy(server.port) as proxy,
        members(f"http://127.0.0.1:{proxy.port}/", COUNT_OF_EACH) as crowd,
        asyncio.timeout(DEADLINE),
    ):
        talks = asyncio.gather(*map(talk, crowd))
        for cut in range(1, CUTS + 1):
            due = cut * MESSAGES // (CUTS + 1)
            await crowd[0].until(lambda due=due: crowd[0].echoed >= due)  # type: ignore[misc]
            proxy.cut()
        await talks
        for member in crowd:
            said = {other.name: list(range(1, other.said + 1)) for other in crowd}
            await member.until(lambda member=member, said=said: member.heard == said)  # type: ignore[misc]
            assert member.resets == []


async def test_raced_opens_of_one_nonce_make_one_session(server: Server) -> None:
    """OPN-4: whichever workers the repetitions of an ``open`` reach."""
    for _ in range(RACES):
        frame = open_frame()
        answers = await asyncio.gather(*[ask(server, "poll", frame) for _ in range(RACERS)])
        assert len({frames[0]["session"] for _, frames in answers}) == 1
