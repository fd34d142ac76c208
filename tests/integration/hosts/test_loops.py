"""Two servers of one hub: in sequence it serves both; at the same time, only the first."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus

from tests.integration.hosts.hosts import eventually
from tests.support.clients.frame_client import TRANSPORTS
from tests.support.servers.listener import listeners
from tests.support.servers.uvicorn import free_port
from transport import Channel, Hub, connect
from transport.testing import lines, opening, until


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
    async with connect(url, transports=["sse"], trust_env=False, timeout=30) as channel:
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


@pytest.mark.parametrize("wired", ["outermost", "mounted", "nowhere"])
async def test_hub_without_lifespan_is_logged_once(
    wired: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers are cut off when the server stops. No lifespan of a mounted app runs."""
    hub = Hub(echo)
    inner = Starlette(
        routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan if wired == "mounted" else None
    )
    outer = Starlette(
        routes=[Mount("/", app=inner)], lifespan=hub.lifespan if wired == "outermost" else None
    )
    for _ in range(2):
        async with serving(outer) as (url, server):
            await converse(url)
            server.should_exit = True
    lines = [line for line in caplog.messages if line.startswith("no_lifespan")]
    assert len(lines) == (0 if wired == "outermost" else 1)
    assert all("lifespan=hub.lifespan" in line for line in lines)


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


@asynccontextmanager
async def serving_in_thread(app: Starlette) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """Run uvicorn in a thread, and so in a loop of its own."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))

    def run() -> None:
        with suppress(SystemExit):  # raised if the application does not start
            server.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:

        async def is_decided() -> bool:
            return server.started or not thread.is_alive()

        await eventually(is_decided)
        yield f"http://127.0.0.1:{port}/chat", server
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()


async def test_second_server_in_thread_is_refused_and_first_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub(echo)
    app = Starlette(routes=[Mount("/chat", app=hub)])
    async with (
        serving_in_thread(app) as (first, _),
        serving_in_thread(app) as (second, _),
        connect(first, trust_env=False, timeout=30) as channel,
    ):
        await channel.send("before")
        assert await channel.receive() == "before"
        headers = {"content-type": "application/x-ndjson"}
        for path in ("poll", "sse", "send"):
            # Each on a connection of its own: the server may be closing the one before.
            async with httpx.AsyncClient(trust_env=False) as client:
                with suppress(httpx.ReadError):  # if the server closes before it has read the body
                    answer = await client.post(
                        f"{second}/{path}", content=lines(opening()), headers=headers
                    )
                    assert answer.status_code == 500
        with pytest.raises(InvalidStatus, match="500"):
            await connect_websocket(f"ws{second.removeprefix('http')}/websocket", proxy=None)

        def errors() -> list[logging.LogRecord]:
            return [record for record in caplog.records if record.exc_info]

        async def are_logged() -> bool:  # the server answers before it logs
            return len(errors()) == 4

        await eventually(are_logged)
        for record in errors():
            assert record.exc_info is not None
            assert "one hub for each server" in str(record.exc_info[1])
        await channel.send("after")
        assert await channel.receive() == "after"
        assert channel.statistics().attaches == 1


async def test_lifespan_of_second_server_in_thread_fails(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(echo)
    app = Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)
    async with serving_in_thread(app) as (first, _), serving_in_thread(app) as (_, second):
        assert not second.started
        assert "one hub for each server" in caplog.text
        await converse(first)


async def test_servers_in_threads_one_after_another_are_served() -> None:
    hub = Hub(echo)
    app = Starlette(routes=[Mount("/chat", app=hub)])
    for _ in range(2):
        async with serving_in_thread(app) as (url, _):
            await converse(url)
