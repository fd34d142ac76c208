"""One of two workers is killed: the home of a crowd's sessions, or the edge it is connected to."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.workers.conftest import APP, IS_FULL, checked
from tests.support.clients.frame_client import TRANSPORTS
from tests.support.clients.members import DEADLINE, Member, members
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.figures import tell
from tests.support.servers.uvicorn import Server

COUNT_OF_EACH = 100 if IS_FULL else 3
"""Streams, and polls, that are parked at the edge."""


@pytest.fixture
async def home(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Run a worker with a port of its own; it meets others in a directory that has a name."""
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "named"))
    async with checked(Server(APP, ("--no-access-log",)), directory) as one:
        yield one


@pytest.fixture
async def edge(home: Server) -> AsyncIterator[Server]:
    """Run the other worker, which ends first."""
    async with checked(Server(APP, ("--no-access-log",)), None) as one:
        yield one


@asynccontextmanager
async def parked(home: Server, edge: Server) -> AsyncIterator[tuple[FaultProxy, list[Member]]]:
    """Connect a crowd to the edge of its sessions. The proxy leads it there."""
    async with (
        FaultProxy(home.port) as proxy,
        members(f"http://127.0.0.1:{proxy.port}/", COUNT_OF_EACH, TRANSPORTS[1:]) as crowd,
        asyncio.timeout(DEADLINE),
    ):
        assert {member.pid for member in crowd} == {home.pid}
        proxy.upstream_port = edge.port
        proxy.cut()
        await asyncio.gather(*[member.echo() for member in crowd])
        yield proxy, crowd


async def longest(began: float, waits: Iterable[Awaitable[None]]) -> float:
    """Return the seconds until the last of these has ended."""
    await asyncio.gather(*waits)
    return time.monotonic() - began


async def test_clients_of_killed_edge_miss_nothing(home: Server, edge: Server) -> None:
    """They come back over another worker, in less than 2 s on a machine that is not busy."""
    async with (
        members(f"{home.url}/", 1, ["websocket"], first=COUNT_OF_EACH) as [speaker],
        parked(home, edge) as (proxy, crowd),
    ):
        proxy.upstream_port = home.port
        began = time.monotonic()
        await asyncio.gather(edge.kill(), speaker.say())
        back = await longest(began, [member.until_heard(speaker) for member in crowd])
        tell("killed edge", clients=len(crowd), back=back, load=f"{os.getloadavg()[0]:.1f}")
        await asyncio.gather(*[member.echo() for member in crowd])
        assert [member.resets for member in crowd] == [[]] * len(crowd)


async def test_clients_of_killed_home_read_restarted(home: Server, edge: Server) -> None:
    """They are told by the edge, in less than 3 s on a machine that is not busy."""
    async with parked(home, edge) as (_, crowd):
        began = time.monotonic()
        waits = [member.until_reset() for member in crowd]
        _, told = await asyncio.gather(home.kill(), longest(began, waits))
        tell("killed home", clients=len(crowd), told=told, load=f"{os.getloadavg()[0]:.1f}")
        await asyncio.gather(*[member.until_served() for member in crowd])
        await asyncio.gather(*[member.echo() for member in crowd])
        assert [member.resets for member in crowd] == [["restarted"]] * len(crowd)
        assert {member.pid for member in crowd} == {edge.pid}
