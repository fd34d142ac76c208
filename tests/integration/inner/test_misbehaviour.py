"""The scripts of applications that misbehave, on uvicorn's own WebSocket.

tests/unit/server/inner/test_misbehaviour.py runs them below a hub, and expects the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.support.servers.uvicorn import Server
from tests.unit.server.inner.misbehaviour import SCRIPTS, Script

DEADLINE = 20.0


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    # Not `serving`: it checks that the log has no errors, and some of these applications fail.
    server = Server("tests.unit.server.inner.misbehaviour:app", ("--no-access-log",))
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


async def trace_of(server: Server, name: str) -> list[str]:
    """Return the trace of a script, once each step has an outcome."""
    trace: list[str] = []
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        while len(trace) < len(SCRIPTS[name].steps):
            trace = (await client.get("/trace", params={"name": name})).json()
    return trace


async def run(url: str, script: Script) -> tuple[int, list[Any]]:
    """Return how a WebSocket ends, and what it receives."""
    received: list[Any] = []
    try:
        async with connect(url, proxy=None) as socket:
            for message in script.client:
                await socket.send(message)
            if script.closes is not None:
                await socket.close(script.closes)
            while True:
                received.append(await socket.recv())
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else 1006), received
    except InvalidStatus as denied:
        return denied.response.status_code, received
    except InvalidMessage:  # no answer at all
        return 1006, received


@pytest.mark.parametrize("name", SCRIPTS)
async def test_misbehaviour_on_uvicorn(server: Server, name: str) -> None:
    script = SCRIPTS[name]
    with anyio.fail_after(DEADLINE):
        end = await run(f"ws://127.0.0.1:{server.port}/?{quote(name)}", script)
        assert await trace_of(server, name) == script.trace
    assert end == (script.end, script.received)
