"""The hub's own sends to pages of a WebSocket application: they begin with the accept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.clients.frame_client import frame_client, open_frame
from tests.support.counted import counted
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import ACCEPT, each_transport
from transport import Hub, as_websocket
from transport.testing import until


class Undecided:
    """An application that answers once the test says how."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        self.called.set()
        await send(await self.answer)
        if self.answer.result() is ACCEPT:
            await receive()


async def sends(hub: Hub, channel_id: str) -> tuple[bool, list[str]]:
    """Send by every way that reaches channels; return whether one took it, and which there are."""
    await hub.broadcast("to all")
    found = await hub.send_to(channel_id, "to one")
    return found, [channel.id for channel in hub.channels]


@each_transport
@pytest.mark.parametrize("has_target", [False, True])
async def test_sends_of_hub_begin_with_the_accept(transport: str, has_target: bool) -> None:
    """TGT-1: message 1 is the accept."""
    app = Undecided()
    hub = Hub(as_websocket(app))
    options: dict[str, Any] = {"target": {"subprotocols": []}} if has_target else {}
    async with frame_client(hub, transport, open_frame(**options)) as client:
        # The application has not even been called, and then has not answered yet.
        assert await sends(hub, client.opened["id"]) == (False, [])
        await app.called.wait()
        assert await sends(hub, client.opened["id"]) == (False, [])
        assert counted(hub).sessions == 1
        app.answer.set_result(ACCEPT)
        await client.confirm()
        received: list[Any] = await client.data() if has_target else []
        assert received == [{"accept": None}] * has_target
        await until(lambda: bool(list(hub.channels)))
        assert await sends(hub, client.opened["id"]) == (True, [client.opened["id"]])
        received = []
        while len(received) < 2:
            received += await client.data()
        assert received == ["to all", "to one"]


async def test_sends_of_hub_do_not_reach_a_denied_page() -> None:
    app = Undecided()
    hub = Hub(as_websocket(app))
    frame = open_frame(target={"subprotocols": []})
    async with frame_client(hub, "websocket", frame) as client:
        await client.confirm()
        app.answer.set_result({"type": "websocket.close"})
        assert await client.data() == [{"deny": 403}]
        assert await sends(hub, client.opened["id"]) == (False, [])
        assert (await client.control("close"))["code"] == 1008
