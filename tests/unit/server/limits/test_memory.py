"""What the buffers of sessions take, in memory and not in bytes of JSON (section 12)."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import TRANSPORTS, frame_client, open_frame
from transport import Channel, Hub, Identity, Limits

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
traced = pytest.mark.skipif(
    sys.gettrace() is not None, reason="a tracer's memory would be counted too"
)

WORST: list[list[Any]] = [[]] * 60_000
"""The JSON that takes most memory for its size: 180 kB, of which Python makes 4 MB."""


class Growth:
    """The memory that Python's objects took within `measured`, in bytes."""

    size = 0


@contextmanager
def measured() -> Iterator[Growth]:
    growth = Growth()
    gc.collect()
    tracemalloc.start()
    try:
        yield growth
        gc.collect()
        growth.size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@traced
@each_transport
async def test_waiting_messages_take_memory_of_their_json(transport: str) -> None:
    """DAT-6: the window counts bytes of JSON, so these are kept."""
    taken = asyncio.Event()

    async def busy(channel: Channel) -> None:
        message: Any = await channel.receive()
        del message
        taken.set()
        await asyncio.sleep(10_000)

    async with frame_client(Hub(busy), transport) as client:
        await client.confirm()
        await client.send([1, 0, "taken"])
        await taken.wait()
        with measured() as growth:
            for number in range(2, 7):
                await client.send([number, 0, WORST])
            await client.post()
        assert growth.size < 1.5 * Limits().window_bytes


@traced
@each_transport
async def test_kept_request_takes_about_its_headers(transport: str) -> None:
    """OPN-10: what was parsed of it, by a server or by `authenticate`, is not kept."""
    cookies = ";".join(f"{number:x}=1" for number in range(2500))
    parsed: list[int] = []

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        parsed.append(len(connection.cookies))
        return Identity("ada")

    async def silent(channel: Channel) -> None:
        async for _ in channel:
            pass

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Call the hub with a request as a server makes it: every header is an own object."""
        headers = [(b"cookie", cookies.encode()), *scope["headers"]]
        subprotocols = [f"{number:x}" for number in range(2500)]
        await hub({**scope, "headers": headers, "subprotocols": subprotocols}, receive, send)

    hub = Hub(silent, authenticate=authenticate)
    async with frame_client(hub, transport):
        pass  # warm up: create objects that are made once
    async with hub.lifespan():
        with measured() as growth:
            for number in range(20):
                frame = open_frame(nonce=f"{number:022}")
                async with frame_client(app, transport, frame):
                    pass
        assert growth.size / 20 < 3 * len(cookies)
    assert parsed[1:] == [2500] * 20


@each_transport
async def test_waiting_messages_are_handed_over_unchanged(transport: str) -> None:
    """DAT-2, NUM-3: whether or not the handler waits when they arrive, and repetitions."""
    messages = [{"a": [1.5, None]}, "é\u2028😀", 7, True, [[]], {"k": 2}, "", -0.0, [], "last"]
    got: list[Any] = []
    may_take = asyncio.Event()

    async def handler(channel: Channel) -> None:
        async for message in channel:
            got.append(message)
            if len(got) == 1:
                await may_take.wait()

    async with frame_client(Hub(handler), transport) as client:
        await client.confirm()
        await client.send([1, 0, *messages[:3]], [2, 0, *messages[1:6]], [5, 0, *messages[4:]])
        await client.send({"type": "bytes", "number": 11, "ack": 0, "data": "AP8="})
        await client.send({"type": "skip", "number": 12, "ack": 0}, [13, 0, "end"])
        await asyncio.sleep(1)
        assert got == messages[:1]
        may_take.set()
        await asyncio.sleep(1)
        assert got == [*messages, b"\x00\xff", "end"]
        assert [type(one) for one in got[:10]] == [type(one) for one in messages]
