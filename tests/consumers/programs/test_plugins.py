"""The Python client in tests of both plugins. CHANNEL_URL is that of an echo server."""

import os

import pytest
from conversation import converse

URL = os.environ["CHANNEL_URL"]
each_transport = pytest.mark.parametrize("name", ["websocket", "sse", "longpoll"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@each_transport
@pytest.mark.anyio
async def test_client_converses_in_anyio_test(name: str) -> None:
    await converse(URL, name)


@each_transport
@pytest.mark.asyncio
async def test_client_converses_in_asyncio_test(name: str) -> None:
    await converse(URL, name)
