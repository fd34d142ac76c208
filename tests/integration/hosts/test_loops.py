"""Two servers on one loop in sequence: a hub that drained for the first serves again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support.clients.frame_client import TRANSPORTS
from tests.support.servers.listener import listeners
from tests.support.servers.uvicorn import free_port
from transport import Channel, Hub, connect
from transport.testing import until


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """Run uvicorn in this loop; at the end, stop it by its flag if it still runs."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{port}/chat", server
    finally:
        server.should_exit = True
        with anyio.fail_after(30):
            await task


async def converse(url: str) -> None:
    async with connect(url, transports=["sse"], proxies=False, timeout=30) as channel:
        await channel.send("hello")
        assert await channel.receive() == "hello"


@pytest.mark.parametrize("wired", [True, False])
async def test_second_server_works_after_first_stopped_by_flag(wired: bool) -> None:
    hub = Hub(echo)
    app = Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan if wired else None)
    for _ in range(2):
        async with serving(app) as (url, server):
            await converse(url)
            server.should_exit = True


@pytest.mark.parametrize("wired", [True, False])
async def test_second_server_works_after_first_got_signal(wired: bool) -> None:
    hub = Hub(echo)
    app = Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan if wired else None)
    raised: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: raised.append(number))
    try:
        for round_ in (1, 2):
            async with serving(app) as (url, _), listeners(url, *TRANSPORTS) as clients:
                signal.raise_signal(signal.SIGTERM)
                for client in clients:
                    await client.until_ended()
                    assert client.frames[-1]["type"] == "drain"
            assert raised == [signal.SIGTERM] * round_
    finally:
        signal.signal(signal.SIGTERM, before)
