"""The server runner distinguishes a start from a failure, and finds complaints in a log."""

from __future__ import annotations

import signal
import socket

import httpx
import pytest

from tests.support.servers.uvicorn import GRANIAN, HYPERCORN, UVICORN, Host, serving

_APP = "tests.support.plain_asgi_app:app"


async def test_server_restarts_on_same_port_and_stops() -> None:
    async with serving(_APP) as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/")).text == "here"
        port, pid = server.port, server.pid
        await client.aclose()
        await server.restart()
        assert server.port == port
        assert server.pid != pid
        async with httpx.AsyncClient(base_url=server.url) as again:
            assert (await again.get("/")).text == "here"
        await server.stop(signal.SIGINT)
        assert not server.running


@pytest.mark.parametrize("host", [UVICORN, HYPERCORN, GRANIAN], ids=lambda host: host.module)
async def test_killed_server_leaves_no_process(host: Host) -> None:
    """Its port is free again too: some hosts serve from a child process."""
    async with serving(_APP, host=host) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/")).text == "here"
        await server.kill()
        assert not server.running
        with socket.socket() as port:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port.bind(("127.0.0.1", server.port))


async def test_until_log_waits_for_line() -> None:
    async with serving(_APP, clean=False) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            for _ in range(2):
                await client.get("/fail")
        await server.until_log("on purpose", 2)
        with pytest.raises(TimeoutError):
            await server.until_log("never written", within=0.05)


async def test_failed_start_raises_with_log() -> None:
    with pytest.raises(RuntimeError, match="Could not import module"):
        async with serving("tests.support.absent:app"):
            pass


async def test_assert_clean_finds_traceback() -> None:
    async with serving(_APP, clean=False) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/fail")).status_code == 500
        await server.stop()
        with pytest.raises(AssertionError, match="on purpose"):
            server.assert_clean()


async def test_serving_fails_on_dirty_log() -> None:
    with pytest.raises(AssertionError, match="on purpose"):
        async with serving(_APP) as server, httpx.AsyncClient(base_url=server.url) as client:
            await client.get("/fail")
