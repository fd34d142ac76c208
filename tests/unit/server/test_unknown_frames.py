"""Frames of a later edition of the protocol, over every transport (FRM-5)."""

from __future__ import annotations

import pytest

from tests.support.clients.frame_client import frame_client
from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, Hub


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


@pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])
async def test_numbered_frame_of_unknown_type_is_acknowledged(transport: str) -> None:
    """FRM-5: before, between and after messages."""
    hub = Hub(echo)
    async with hub.lifespan(), frame_client(hub, transport) as client:
        for number in (1, 4):
            item = {"type": "item", "number": number, "ack": 0, "kind": "later", "data": [number]}
            await client.send(item, [number + 1, 0, "a"], {**item, "number": number + 2})
        echoes: list[object] = []
        handled = 0
        while len(echoes) < 2 or handled < 6:
            frame = await client.frame()
            if isinstance(frame, list):
                echoes += frame[2:]
                handled = max(handled, frame[1])
            elif frame["type"] == "ack":
                handled = max(handled, frame["ack"])
        assert echoes == ["a", "a"]
