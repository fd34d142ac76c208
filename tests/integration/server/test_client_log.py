"""The debug log of a Python client over real connections: HTTP-1, OPN-6."""

from __future__ import annotations

import logging

import pytest

from tests.support.clients.frame_client import TRANSPORTS
from tests.support.servers.uvicorn import serving
from transport import connect


@pytest.fixture
def anyio_backend() -> str:
    """Use real time, because sockets do not work with a turned clock."""
    return "asyncio"


async def test_client_log_holds_no_secret_and_no_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """This includes the libraries below: websockets would log every frame."""
    caplog.set_level(logging.DEBUG)
    secrets = ["a-password-that-nobody-guesses", "nobody's business"]
    async with serving("tests.support.apps:echo") as server:
        for transport in TRANSPORTS:
            async with connect(
                f"{server.url}/chat",
                transports=[transport],
                credentials=secrets[0],
                trust_env=False,
            ) as channel:
                await channel.send(secrets[1])
                assert await channel.receive() == secrets[1]
                assert channel.id
                secrets.append(f"{channel.id}.")  # the beginning of a token
    assert [one for one in secrets if one in caplog.text] == []
