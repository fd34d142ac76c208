"""The runner of servers tells a start from a failure, and what a log complains of."""

from __future__ import annotations

import signal

import httpx
import pytest

from tests.kit.server import serving

_APP = "tests.kit.plain:app"


async def test_serves_restarts_on_the_same_port_and_stops() -> None:
    async with serving(_APP) as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/")).text == "here"
        port, pid = server.port, server.pid
        await client.aclose()
        await server.restart()
        assert server.port == port
        assert server.pid != pid
        async with httpx.AsyncClient(base_url=server.url) as again:
            assert (await again.get("/")).text == "here"
        assert 0 < await server.stop(signal.SIGINT) < 5
        assert not server.running


async def test_tells_why_a_server_did_not_start() -> None:
    with pytest.raises(RuntimeError, match="Could not import module"):
        async with serving("tests.kit.absent:app"):
            pass


async def test_finds_the_traceback_in_a_log() -> None:
    async with serving(_APP, clean=False) as server:
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/fail")).status_code == 500
        await server.stop()
        with pytest.raises(AssertionError, match="on purpose"):
            server.assert_clean()


async def test_a_dirty_log_fails_the_block() -> None:
    with pytest.raises(AssertionError, match="on purpose"):
        async with serving(_APP) as server, httpx.AsyncClient(base_url=server.url) as client:
            await client.get("/fail")
