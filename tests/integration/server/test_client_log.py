"""The log of a Python client at the level of debugging, over real connections: HTTP-1, OPN-6."""

from __future__ import annotations

import logging

import pytest

from tests.support.clients.frame_client import TRANSPORTS
from tests.support.servers.uvicorn import serving
from transport import connect


@pytest.fixture
def anyio_backend() -> str:
    """Sockets keep no turned time."""
    return "asyncio"


async def test_client_log_holds_no_secret_and_no_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of the libraries below as well: websockets would log each frame."""
    caplog.set_level(logging.DEBUG)
    secrets = ["a-password-that-nobody-guesses", "nobody's business"]
    async with serving("tests.support.apps:echo") as server:
        for transport in TRANSPORTS:
            async with connect(
                f"{server.url}/chat",
                transports=[transport],
                credentials=secrets[0],
                proxies=False,
            ) as channel:
                await channel.send(secrets[1])
                assert await channel.receive() == secrets[1]
                assert channel.id
                secrets.append(f"{channel.id}.")  # a token begins so
    assert [one for one in secrets if one in caplog.text] == []
