"""Conversations of a client with an echo server, over a network in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.integration.client.memory_network import Network
from tests.properties import cancellation
from tests.properties.cancellation import TRANSPORTS
from tests.properties.client_canceller import TASK_MODES, Canceller
from transport import Channel, ChannelClosed, Hub, SessionReset, as_websocket, connect
from transport.client import Channel as ClientChannel
from transport.client import Pacing
from transport.client.websocket import connect as connect_websocket

LIMITS = replace(cancellation.LIMITS, window_messages=2)
PACING = Pacing(retry_base=0.1, retry_max=1.0)


class World:
    """An echo server, the network to it, and the messages received on both sides.

    Attributes:
        server_received, client_received: the messages that the handlers and the application took.
        entered: whether the application has entered ``async with connect()``.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.hub = self.start()
        self.network = Network(self.hub)
        self.server_received: list[Any] = []
        self.client_received: list[Any] = []
        self.entered = False
        self.channel: ClientChannel | None = None

    def start(self) -> Hub:
        self.hub = Hub(self.echo, limits=LIMITS, **self.options)
        return self.hub

    def restart(self) -> None:
        """Replace the server with a new one, as if its process had been killed."""
        self.network.serve(self.start())
        self.network.cut()

    async def serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.send_text("hello")
        async for text in websocket.iter_text():
            self.server_received.append(text)
            await websocket.send_text(text)

    async def echo(self, channel: Channel) -> None:
        await channel.send("hello")
        async for message in channel:
            self.server_received.append(message)
            await channel.send(message)
            if message == "go":
                await channel.close(4000, "enough")

    def connect(self, *transports: str) -> connect:
        return connect(
            "http://127.0.0.1:1/",
            transports=transports,
            trust_env=False,
            pacing=PACING,
        )


Conversation = Callable[[World, Canceller], Awaitable[None]]


def exchanges(
    transport: str,
) -> Callable[[Callable[[World, Canceller, ClientChannel], Awaitable[None]]], Conversation]:
    """Make a conversation of the part within ``async with connect(transport)``."""

    def decorate(
        part: Callable[[World, Canceller, ClientChannel], Awaitable[None]],
    ) -> Conversation:
        async def conversation(world: World, call: Canceller) -> None:
            async with world.connect(transport) as world.channel:
                world.entered = True
                await part(world, call, world.channel)

        return conversation

    return decorate


async def receive(world: World, call: Canceller, channel: ClientChannel, count: int = 1) -> None:
    """Receive ``count`` messages."""

    async def take() -> None:
        world.client_received.append(await channel.receive())

    for _ in range(count):
        await call(take)


# The conversations


def talk(transport: str) -> Conversation:
    """Exchange messages with a window of 2, so that sends wait; then leave the block."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        for index in range(4):
            await call(channel.send, index)
        await receive(world, call, channel, 2)
        last = await call(channel.send, b"last")
        await call(channel.acknowledged, last)
        await receive(world, call, channel, 3)

    return part


def cut(transport: str) -> Conversation:
    """Cut the network with messages in flight, then again while it stays down."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        await call(channel.send, 0)
        await call(channel.send, 1)
        world.network.cut()
        await call(channel.send, 2)
        await receive(world, call, channel, 2)
        world.network.up = False
        world.network.cut()
        await call(channel.send, 3)
        asyncio.get_running_loop().call_later(0.5, setattr, world.network, "up", True)
        await call(channel.flush)
        await receive(world, call, channel, 2)

    return part


def closing(transport: str) -> Conversation:
    """Close the channel in mid-stream, as the application."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        for index in range(3):
            await call(channel.send, index)
        await call(channel.close, 3000, "done")
        assert channel.phase == "closed"
        await receive(world, call, channel, 4)

    return part


def closed(transport: str) -> Conversation:
    """Let the server close the channel."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await call(channel.send, "go")
        await receive(world, call, channel, 2)
        with pytest.raises(ChannelClosed) as caught:
            await call(channel.receive)
        if not call.main:
            assert (caught.value.code, caught.value.reason) == (4000, "enough")

    return part


def reset(transport: str) -> Conversation:
    """Restart the server: the old session is reset, and a new one continues."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        await call(channel.send, 0)
        await receive(world, call, channel)
        await call(channel.flush)
        world.restart()
        with pytest.raises(SessionReset) as caught:
            await call(channel.receive)
        assert caught.value.reason == "restarted"
        await receive(world, call, channel)
        await call(channel.send, 1)
        await receive(world, call, channel)

    return part


def fallback(transport: str) -> Conversation:
    """Fall back to ``transport``, because the server does not offer the preferred ones."""

    async def conversation(world: World, call: Canceller) -> None:
        async with world.connect(*TRANSPORTS) as world.channel:
            world.entered = True
            assert world.channel.transport == transport or call.mode in TASK_MODES
            await call(world.channel.send, 0)
            await receive(world, call, world.channel, 2)

    return conversation


def websocket(transport: str) -> Conversation:
    """Talk to a WebSocket application, with cuts, by a connection like one of ``websockets``."""

    async def conversation(world: World, call: Canceller) -> None:
        world.hub = Hub(as_websocket(world.serve_websocket), limits=LIMITS)
        world.network.serve(world.hub)
        opening = connect_websocket(
            "ws://127.0.0.1:1/", transports=[transport], proxy=None, pacing=PACING
        )
        async with opening as connection:
            world.channel, world.entered = connection.channel, True

            async def take() -> None:
                world.client_received.append(await connection.recv())

            await call(take)
            await call(connection.send, "0")
            world.network.cut()
            for index in range(1, 4):  # more than the window holds
                await call(connection.send, [str(index), "."])
            await call(take)
            await call(take)
            world.network.up = False
            world.network.cut()
            asyncio.get_running_loop().call_later(0.5, setattr, world.network, "up", True)
            await call(take)
            await call(take)
            await (await call(connection.ping))
            await call(connection.close, 4000)

    return conversation
