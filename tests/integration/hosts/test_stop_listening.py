"""`Host.stop_listening`: a server takes no new connections, and serves those that it has."""

from __future__ import annotations

import asyncio

import anyio
import httpx
import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.servers.uvicorn import free_port
from transport.hosts.running import find_host
from transport.testing import until


async def stop_listening(request: Request) -> PlainTextResponse:
    host = find_host()
    assert host is not None
    assert host.stop_listening is not None
    host.stop_listening()
    return PlainTextResponse("no longer")


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
def test_uvicorn_serves_the_connections_that_it_has(loop: str) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(serve())


async def serve() -> None:
    app = Starlette(routes=[Route("/stop", stop_listening), Route("/", hello)])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    serving = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{port}/"
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as one,
        httpx.AsyncClient(trust_env=False, timeout=30) as other,
    ):
        await until(lambda: server.started)
        for _ in range(2):  # the second has no effect
            assert (await one.get(f"{url}stop")).text == "no longer"
        assert (await one.get(url)).text == "hello"
        with pytest.raises(httpx.ConnectError):
            await other.get(url)
        server.should_exit = True
    with anyio.fail_after(30):
        await serving


async def test_unknown_server_has_no_host() -> None:
    assert find_host() is None
