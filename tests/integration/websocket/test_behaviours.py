"""`transport.client.websocket` beside ``websockets``: the same behaviour, and what differs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import websockets.asyncio.client

from tests.integration.websocket.behaviours import BEHAVIOURS, Behaviour, Opener
from tests.integration.websocket.differences import DIFFERENCES, Probe
from tests.support.servers.uvicorn import Server, serving
from transport.client import websocket

APP = "tests.integration.websocket.apps:app"
KINDS = ("websockets", "websocket", "sse", "longpoll")
"""The package, on the bare application; and ours over each transport, behind a hub."""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving(APP, "--no-access-log", clean=False) as server:
        yield server
    # uvicorn says that of any denial with a response.
    assert [line for line in server.complaints if "without completing handshake" not in line] == []


def open_as(kind: str, server: Server, name: str) -> Opener:
    base = server.url.replace("http", "ws")
    if kind == "websockets":
        connect = websockets.asyncio.client.connect
        return Opener(connect, f"{base}/bare", server.url, f"{name}-{kind}", {"proxy": None})
    options = {"proxy": None, "transports": [kind]}
    return Opener(websocket.connect, f"{base}/ws", server.url, f"{name}-{kind}", options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda one: one.__name__)
async def test_behaviour_is_that_of_websockets(
    behaviour: Behaviour, kind: str, server: Server
) -> None:
    await behaviour(open_as(kind, server, behaviour.__name__))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("probe", DIFFERENCES, ids=lambda one: one.__name__)
async def test_difference_is_as_documented(probe: Probe, kind: str, server: Server) -> None:
    theirs, ours = DIFFERENCES[probe]
    expected = theirs if kind == "websockets" else ours
    assert await probe(open_as(kind, server, probe.__name__)) == expected
