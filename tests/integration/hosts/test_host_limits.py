"""The WebSocket settings of uvicorn: documented, used by the demo, and logged if far too large."""

from __future__ import annotations

from pathlib import Path

import pytest
from websockets.asyncio.client import connect as connect_websocket

from benchmarks import serve
from scripts import demo
from tests.support.servers.uvicorn import GUNICORN, HYPERCORN, UVICORN, Host, serving
from transport import Limits, connect

APP = "tests.integration.hosts.apps:alone"
EVENT = "host_limits"
RECOMMENDED = ["--ws-max-size", "1048576", "--ws-per-message-deflate", "false"]
ROOT = Path(__file__).parents[3]


async def lines_of(host: Host, *options: str, app: str = APP) -> list[str]:
    """Serve two requests, and return the lines about the limits of the host."""
    async with serving(app, *options, host=host, clean=False) as server:
        for _ in range(2):
            async with connect(f"{server.url}/bare/itself", trust_env=False, timeout=30) as channel:
                await channel.send("hello")
                assert await channel.receive() == "hello"
    return [line for line in server.log if EVENT in line]


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
async def test_default_limits_of_uvicorn_are_logged_once(implementation: str) -> None:
    [line] = await lines_of(UVICORN, "--ws", implementation)
    assert "max_size=16777216" in line
    assert " ".join(RECOMMENDED) in line


async def test_gunicorn_is_told_how_its_worker_is_configured() -> None:
    [line] = await lines_of(GUNICORN)
    assert "UvicornWorker" in line
    assert 'CONFIG_KWARGS = {"ws_max_size": 1048576, "ws_per_message_deflate": False}' in line


async def test_recommended_settings_are_not_logged() -> None:
    assert await lines_of(UVICORN, *RECOMMENDED) == []


async def test_compression_by_choice_is_not_logged() -> None:
    """With a bound on messages, compression is a matter of cost."""
    assert await lines_of(UVICORN, *RECOMMENDED[:2]) == []


async def test_unknown_host_is_not_logged() -> None:
    assert await lines_of(HYPERCORN) == []


async def test_recommended_settings_pass_largest_message() -> None:
    largest = "x" * (Limits().message - 2)
    async with (
        serving(APP, *RECOMMENDED) as server,
        connect(
            f"{server.url}/bare/itself", transports=["websocket"], trust_env=False, timeout=30
        ) as channel,
    ):
        for message in (largest, largest.encode()):
            await channel.send(message)
            assert await channel.receive() == message


async def test_recommended_settings_refuse_compression() -> None:
    async with (
        serving(APP, *RECOMMENDED) as server,
        connect_websocket(f"ws{server.url[4:]}/bare/itself/websocket", proxy=None) as socket,
    ):
        assert socket.response is not None
        assert "sec-websocket-extensions" not in socket.response.headers


def test_demo_and_benchmarks_use_recommended_settings() -> None:
    """The benchmarks offer compression to one of their servers only, and say so."""
    assert demo.WEBSOCKET_SETTINGS == serve.WS_SETTINGS
    assert serve.WS_SETTINGS == {"ws_max_size": 1_048_576, "ws_per_message_deflate": False}


def test_document_names_recommended_settings() -> None:
    assert " ".join(RECOMMENDED) in (ROOT / "docs/hosts.md").read_text("utf-8")
