"""A crowd behind nginx, which sends each request to one of four workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.workers.conftest import APP, HOSTS, IS_FULL, checked
from tests.support.browsers.chromium import Tab
from tests.support.browsers.pages import pages
from tests.support.clients.frame_client import TRANSPORTS
from tests.support.clients.members import Member, members
from tests.support.figures import tell
from tests.support.servers.nginx import nginx
from tests.support.servers.uvicorn import Server
from tests.support.servers.workers import workers

COUNT = 4
COUNT_OF_EACH = 100 if IS_FULL else 2
"""Clients of each transport."""
PAGES = [*TRANSPORTS, "websocket"] if IS_FULL else []
ECHOES = 92 if IS_FULL else 10
"""Of each client."""
SPEAKERS, SAID = (30, 5) if IS_FULL else (2, 3)
"""How many clients publish, and how often. The full form has 100,000 messages in all."""
DEADLINE = 600.0 if IS_FULL else 60.0


@pytest.fixture(params=HOSTS)
async def four(request: pytest.FixtureRequest, directory: Path) -> AsyncIterator[Server]:
    host, arguments = workers(request.param, COUNT)
    async with checked(Server(APP, tuple(arguments), host=host), directory) as one:
        yield one


async def talk(member: Member, said: int) -> None:
    for number in range(ECHOES):
        await member.echo()
        if number < said:
            await member.say()


async def talk_in_page(page: Tab, said: int) -> None:
    await page.run("(count) => talk(count)", ECHOES, timeout=DEADLINE)
    for number in range(1, said + 1):
        await page.run("(number) => say(number)", number, timeout=DEADLINE)


async def test_crowd_over_nginx_loses_and_doubles_nothing(four: Server, tmp_path: Path) -> None:
    """Every message arrives once and in order, whichever workers its requests reach."""
    async with (
        nginx(four.port, tmp_path) as proxy,
        members(f"{proxy.url('plain')}/", COUNT_OF_EACH) as crowd,
        pages(proxy.url("plain"), PAGES) as tabs,
        asyncio.timeout(DEADLINE),
    ):
        began = time.monotonic()
        await asyncio.gather(
            *[talk(each, SAID if number < SPEAKERS else 0) for number, each in enumerate(crowd)],
            *[talk_in_page(page, SAID) for page in tabs],
        )
        numbers = list(range(1, SAID + 1))
        heard = {member.name: numbers for member in crowd[:SPEAKERS]}
        heard |= {f"page-{number}": numbers for number in range(len(tabs))}
        for member in crowd:
            await member.until(lambda member=member: dict(member.heard) == heard)  # type: ignore[misc]
            assert (member.echoed, member.resets) == (ECHOES, [])
        for page in tabs:
            await page.wait("(count) => member.echoed === count", ECHOES, timeout=DEADLINE)
            await page.wait(
                "(count) => Object.values(member.heard).flat().length >= count",
                len(heard) * SAID,
                timeout=DEADLINE,
            )
            found = await page.run("() => member")
            assert (found["heard"], found["resets"], found["wrong"]) == (heard, [], [])
        clients = len(crowd) + len(tabs)
        messages = 2 * ECHOES * clients + len(heard) * SAID * (1 + clients)
        tell("crowd", clients=clients, messages=messages, took=time.monotonic() - began)
