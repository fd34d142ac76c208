"""A host that serves no WebSocket: pages use another transport, and the log says why, once."""

from __future__ import annotations

import pytest

from tests.support.servers.uvicorn import GRANIAN, UVICORN, Host, serving
from transport import connect

APP = "tests.support.apps:echo"
WITHOUT = {
    "uvicorn-httptools": (UVICORN, "--ws none --http httptools"),
    "uvicorn-h11": (UVICORN, "--ws none --http h11"),
    "granian": (GRANIAN, "--no-ws"),
}
LOGGED = "websocket_unavailable"


@pytest.mark.parametrize("name", WITHOUT)
async def test_host_without_websocket_is_logged_once(name: str) -> None:
    """WS-3. uvicorn installed without its extra does the same as ``--ws none``."""
    host, options = WITHOUT[name]
    async with serving(APP, *options.split(), host=host, clean=False) as server:
        for _ in range(2):
            async with connect(f"{server.url}/chat", trust_env=False, timeout=30) as channel:
                await channel.send("hello")
                assert await channel.receive() == "hello"
                assert channel.transport != "websocket"
                refused = [each for each in channel.explain() if each.transport == "websocket"]
                assert refused
    lines = [line for line in server.log if LOGGED in line]
    assert len(lines) == 1, server.log
    assert "uvicorn[standard]" in lines[0]


@pytest.mark.parametrize("host", [UVICORN, GRANIAN], ids=lambda host: host.module)
async def test_host_with_websocket_is_not_blamed(host: Host) -> None:
    async with (
        serving(APP, host=host) as server,
        connect(f"{server.url}/chat", trust_env=False, timeout=30) as channel,
    ):
        await channel.send("hello")
        assert await channel.receive() == "hello"
        assert channel.transport == "websocket"
    assert not [line for line in server.log if LOGGED in line]
