"""The client's acks reach the server, over whatever becomes of their connection (MRK-3, MRK-6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, Hub, connect

URL = "http://127.0.0.1:1/"
TRANSPORTS = ("websocket", "sse", "longpoll")


class Speaker:
    """A handler that sends one message and waits for its ack."""

    def __init__(self) -> None:
        self.acknowledged = asyncio.Event()

    async def __call__(self, channel: Channel) -> None:
        await channel.acknowledged(await channel.send("hello"))
        self.acknowledged.set()
        await channel.wait_closed()


class LosesFirstAck:
    """A middleware under which everything is cut as the first ack of message 1 arrives.

    Attributes:
        network: the network to cut.
        has_lost: whether that has happened.
    """

    network: Network

    def __init__(self, app: ASGIApp) -> None:
        self.has_lost = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_until_cut() -> Any:
            event = await receive()
            written = event.get("text") or event.get("body", b"").decode()
            if '"ack":1' in written and not self.has_lost:
                self.has_lost = True
                self.network.cut()
                return await receive()
            return event

        await self._app(scope, receive_until_cut, send)


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_of_message_before_reconnect_arrives(transport: str) -> None:
    """ATT-3: the client changes its connection before it has acknowledged the message."""
    speaker = Speaker()
    Network(Hub(speaker))
    async with connect(URL, transports=[transport], proxies=False) as channel:
        assert await channel.receive() == "hello"
        channel.reconnect()
        async with asyncio.timeout(5):
            await speaker.acknowledged.wait()


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_lost_with_its_connection_is_known(transport: str) -> None:
    """ATT-3: the ``open`` that follows says what the client has received."""
    speaker = Speaker()
    app = LosesFirstAck(Hub(speaker))
    app.network = Network(app)
    async with connect(URL, transports=[transport], proxies=False) as channel:
        assert await channel.receive() == "hello"
        async with asyncio.timeout(5):
            await speaker.acknowledged.wait()
    assert app.has_lost
