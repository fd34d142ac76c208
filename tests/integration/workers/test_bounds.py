"""What clients at an edge can take of memory, there and at the home of their sessions."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workers.bounds import FILL, MESSAGE, MIB, WINDOW
from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, Ended, FrameClient, open_frame
from tests.support.clients.tcp_client import TcpClient
from tests.support.servers.uvicorn import Server

APP = "tests.integration.workers.bounds:app"
SETTINGS = ("--ws-per-message-deflate", "false", "--ws-max-size", "1048576", "--no-access-log")
DEADLINE = 60.0
SLOW = 16
FLOODS = 8
FLOOD = 8 * MIB
"""Bytes that each client of a flood tries to send."""
AT_EDGE = MIB // 2
"""Bytes of one connection that an edge may have: two items, and those that its server writes."""
SLACK = 8 * MIB
"""Bytes that Python and the server may take for other things."""


@pytest.fixture
async def workers(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Server, Server]]:
    """Run a home and an edge."""
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "run"))
    home, edge = Server(APP, SETTINGS), Server(APP, SETTINGS)
    await asyncio.gather(home.start(), edge.start())
    try:
        yield home, edge
    finally:
        await asyncio.gather(home.stop(), edge.stop())
    home.assert_clean()
    edge.assert_clean()


@asynccontextmanager
async def resumed(transport: str, home: Server, edge: Server) -> AsyncIterator[Any]:
    """Open a session at the home, and resume it at the edge."""
    client = CLIENTS[transport](Tcp(home.port, ""))
    frame = open_frame()
    opened = await client.open(frame)
    await client.carrier.close()
    client.carrier = Tcp(edge.port, "")
    again = {**frame, "attach": 2, "session": client.token, "epoch": opened["epoch"]}
    try:
        assert (await client.open(again))["verdict"] == "resumed"
        await client.confirm()
        yield client
    finally:
        await client.carrier.close()


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """Connect with small buffers: what is in those of the kernel, no process has."""
    sockets = []

    async def to(kind: type[TcpClient], port: int, deadline: float | None = DEADLINE) -> TcpClient:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000
        )  # that of the server is small, too
        one.setblocking(False)
        sockets.append(one)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
        return kind(*await asyncio.open_connection(sock=one), deadline)

    monkeypatch.setattr(TcpClient, "to", classmethod(to))
    return sockets


def memory_of(server: Server) -> int:
    """Return the memory of a process, in bytes."""
    for line in Path(f"/proc/{server.pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


class Growth:
    """The memory that processes take from now on."""

    def __init__(self, *servers: Server) -> None:
        self._before = {server: memory_of(server) for server in servers}
        self.most = dict.fromkeys(servers, 0)

    async def while_(self, work: Awaitable[Any]) -> None:
        """Measure while something happens, and then until nothing grows for a while."""
        task = asyncio.ensure_future(work)
        still = 0
        while still < 10:
            grown = self._look()
            still = 0 if grown or not task.done() else still + 1
            await asyncio.sleep(0.03)
        await task

    def _look(self) -> bool:
        """Measure; return whether a process has more than ever before."""
        grown = False
        for server, before in self._before.items():
            growth = memory_of(server) - before
            grown |= growth > self.most[server]
            self.most[server] = max(growth, self.most[server])
        return grown


async def test_slow_readers_at_an_edge_take_bounded_memory(
    workers: tuple[Server, Server], small_buffers: list[socket.socket]
) -> None:
    """An edge takes no more than a client reads; what waits is in the home's windows."""
    home, edge = workers
    async with asyncio.timeout(DEADLINE), AsyncExitStack() as stack:
        clients = []
        for number in range(SLOW):
            transport = ("websocket", "sse")[number % 2]
            clients.append(await stack.enter_async_context(resumed(transport, home, edge)))
        growth = Growth(home, edge)
        await growth.while_(asyncio.gather(*(client.send([1, 0, "fill"]) for client in clients)))
        assert SLOW * WINDOW // 2 < growth.most[home] <= SLOW * 2 * WINDOW + SLACK
        assert growth.most[edge] <= SLOW * AT_EDGE + SLACK
        for one in small_buffers:
            with suppress(OSError):  # that of the opening is closed
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
        for client in clients:
            numbers: list[int] = []
            while len(numbers) < FILL:
                numbers += [number for number, _ in await client.data()]
            assert numbers == list(range(FILL))


async def flood(client: FrameClient) -> Ended:
    """Send far more than the window allows; return how the connection ended."""
    with suppress(Ended, ConnectionError):
        for number in range(2, FLOOD // len(MESSAGE)):
            await client.send([number, 0, MESSAGE])
    return await client.ended()


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_floods_at_an_edge_take_bounded_memory(
    workers: tuple[Server, Server], is_stopped: bool
) -> None:
    """Also if the home is stopped. The connections end, and the sessions go on."""
    home, edge = workers
    async with asyncio.timeout(DEADLINE), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(resumed("websocket", home, edge)) for _ in range(FLOODS)
        ]
        other = await stack.enter_async_context(resumed("websocket", home, edge))
        for client in clients:
            await client.send([1, 0, "rest"])
        growth = Growth(home, edge)
        if is_stopped:
            os.kill(home.pid, signal.SIGSTOP)
        try:
            ends = asyncio.gather(*(flood(client) for client in clients))
            await growth.while_(ends)
        finally:
            if is_stopped:
                os.kill(home.pid, signal.SIGCONT)
        # What comes after its close makes the server reset a connection, perhaps before it is read.
        assert {end.code for end in ends.result()} <= {4412, None}
        waits_at = edge if is_stopped else home
        for server, most in growth.most.items():
            assert most <= FLOODS * (2 * WINDOW if server is waits_at else AT_EDGE) + SLACK
        await other.send([1, 0, "go on"], [2, 0, "x"])
        assert await other.data() == ["x"]
