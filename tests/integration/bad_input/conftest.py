"""One server for the tests of a file, and what must hold after each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.bad_input.shared_server import SharedServer, shared_servers


@pytest.fixture(scope="module")
async def shared_server(anyio_backend: str) -> AsyncIterator[SharedServer]:
    """A server that must release what all tests of the file held."""
    async with shared_servers() as server:
        yield server
        await server.until_no_more_than(server.first)


@pytest.fixture
async def server(shared_server: SharedServer) -> AsyncIterator[SharedServer]:
    """The server. After the test two bystanders go on, and the log holds no error."""
    yield shared_server
    await shared_server.unharmed()
