"""One server for the tests of a file, and the checks after each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.bad_input.shared_server import SharedServer, shared_servers


@pytest.fixture(scope="module")
async def shared_server(anyio_backend: str) -> AsyncIterator[SharedServer]:
    """Run a server that must release all resources of the file's tests."""
    async with shared_servers() as server:
        yield server
        await server.until_released(server.first)


@pytest.fixture
async def server(shared_server: SharedServer) -> AsyncIterator[SharedServer]:
    """Return the server. After the test, check that both bystanders go on and the log is clean."""
    yield shared_server
    await shared_server.check_bystanders()
