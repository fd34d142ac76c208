"""The client's acks reach the server, over whatever becomes of their connection (MRK-3, MRK-6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, ChannelClosed, Hub, Limits, connect

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
async def test_acknowledged_returns_without_delay(transport: str) -> None:
    """MRK-8: the client's acks may wait, but not one that the handler waits for."""
    waits: list[float] = []

    async def speak(channel: Channel) -> None:
        loop = asyncio.get_running_loop()
        await channel.receive()
        for _ in range(20):
            begun = loop.time()
            await channel.acknowledged(await channel.send("hello"))
            waits.append(loop.time() - begun)
        number = await channel.send("written before somebody waits")
        await asyncio.sleep(0.125)
        begun = loop.time()
        await channel.acknowledged(number)
        waits.append(loop.time() - begun)

    Network(Hub(speak))
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        await channel.send("go")
        assert [await channel.receive() for _ in range(21)]
        with pytest.raises(ChannelClosed):
            await channel.receive()
    assert len(waits) == 21
    assert max(waits) < 0.1


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_full_window_opens_without_delay(transport: str) -> None:
    """MRK-8, DAT-6: whatever the sizes of messages and window."""
    limits = Limits(message=1000, window_bytes=1000, window_messages=100)
    loop = asyncio.get_running_loop()
    begun = 0.0

    async def speak(channel: Channel) -> None:
        nonlocal begun
        await channel.receive()
        begun = loop.time()
        for size in (10, 990, 200, 900, 990, 10, 995) * 5:
            await channel.send("x" * size)

    Network(Hub(speak, limits=limits))
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        await channel.send("go")
        for _ in range(35):
            await channel.receive()
        assert loop.time() - begun < 0.5


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_of_message_before_reconnect_arrives(transport: str) -> None:
    """MRK-9: the client changes its connection before it has acknowledged the message."""
    speaker = Speaker()
    Network(Hub(speaker))
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        assert await channel.receive() == "hello"
        channel.reconnect()
        async with asyncio.timeout(5):
            await speaker.acknowledged.wait()


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_lost_with_its_connection_is_known(transport: str) -> None:
    """MRK-9: the ``open`` that follows says what the client has received."""
    speaker = Speaker()
    app = LosesFirstAck(Hub(speaker))
    app.network = Network(app)
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        assert await channel.receive() == "hello"
        async with asyncio.timeout(5):
            await speaker.acknowledged.wait()
    assert app.has_lost
