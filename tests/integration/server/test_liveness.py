"""Liveness is proved by the protocol's frames, not by those of WebSocket: PROTOCOL.md section 5."""

from __future__ import annotations

import json

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.clients.frame_client import encode, open_frame
from tests.support.servers.uvicorn import serving


async def test_websocket_pings_do_not_count_as_liveness() -> None:
    """LIV-4: a client that only sends and answers pings of RFC 6455 is detached all the same."""
    async with (
        serving("tests.support.apps:beating") as server,
        connect(f"ws://127.0.0.1:{server.port}/chat/websocket") as ws,
    ):
        await ws.send(encode(open_frame()))
        kinds: list[str] = []

        async def ping_and_listen() -> None:
            while True:
                await (await ws.ping())
                with anyio.move_on_after(0.05):
                    kinds.append(json.loads(await ws.recv())["type"])

        with anyio.fail_after(30), pytest.raises(ConnectionClosed) as closed:
            await ping_and_listen()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4408
        assert kinds[:3] == ["opened", "ping", "ping"]
