"""The built wheel in environments with nothing but its own extras."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager

import pytest
from packaging.version import Version

from tests.consumers.install import Client, Environment, requirements
from tests.support.servers.uvicorn import Server, serving

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]

TRANSPORTS = ["websocket", "sse", "longpoll"]


async def test_plain_install_needs_no_extra(plain: Environment) -> None:
    versions = await plain.versions()
    assert not {"httpx", "websockets", "uvicorn"} & set(versions)
    await plain.run("plain_install.py")


async def test_versions_are_those_claimed(client: Client) -> None:
    versions = await client.versions()
    lowest = dict(re.split(">=", requirement) for requirement in requirements("client"))
    for name, floor in lowest.items():
        installed = Version(versions[name])
        assert installed >= Version(floor)
        assert installed == Version(floor) or not client.variant.lowest
    assert ("sniffio" in versions) == (client.variant.name != "newest")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_client_converses_under_every_runner(client: Client, transport: str) -> None:
    async with serving_echo(client) as server:
        await client.run("run_client.py", f"{server.url}/chat", transport)


@pytest.mark.parametrize("plugin", ["anyio", "asyncio"])
async def test_client_converses_in_tests_of_plugin(client: Client, plugin: str) -> None:
    async with serving_echo(client) as server:
        output = await client.run(
            *("-m", "pytest", "-q", "test_plugins.py", "-k", f"in_{plugin}_test"),
            CHANNEL_URL=f"{server.url}/chat",
        )
    assert "3 passed" in output


def serving_echo(client: Client) -> AbstractAsyncContextManager[Server]:
    """Serve the echo application with the versions of this environment."""
    return serving("echo_app:app", "--app-dir", str(client.folder), host=client.host)


async def test_starlette_test_client_works(client: Client) -> None:
    output = await client.run("-m", "pytest", "-q", "test_client.py")
    assert "5 passed" in output
