"""What the buffers of sessions take, in memory and not in bytes of JSON (section 12)."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import (
    TRANSPORTS,
    Ended,
    FrameClient,
    frame_client,
    open_frame,
    try_open,
)
from tests.support.counted import counted
from transport import Channel, ChannelClosed, Hub, Identity, Limits

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


# The bound on all sessions

MIB = 1024 * 1024
LIMITS = Limits(memory=6 * MIB, sessions_per_address=10_000, opens_per_second=10_000)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def deaf(channel: Channel) -> None:
    await asyncio.sleep(10_000)


@each_transport
async def test_full_memory_refuses_new_sessions(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Section 12: those that exist go on, and are resumed; room that becomes free is used."""
    hub = Hub(echo, limits=LIMITS)
    async with AsyncExitStack() as stack:
        clients = []
        refused: Ended | None = None
        while refused is None:
            client = frame_client(hub, transport, open_frame())
            try:
                clients.append(await stack.enter_async_context(client))
            except Ended as ended:
                refused = ended
        assert refused.code == (1013 if transport == "websocket" else 503)
        assert refused.error == {
            "type": "error",
            "code": "unavailable",
            "message": f"the server's Limits(memory={6 * MIB}) has been reached",
            "retry_in": 5.0,
            "limit": "memory",
        }
        assert len(clients) == 6 * MIB * 7 // 8 // (16 * 1024)
        assert counted(hub).memory == len(clients) * 16 * 1024
        assert await try_open(hub, transport, open_frame()) is not None
        assert counted(hub).memory_reached == 2
        assert caplog.text.count("memory_full") == 1
        await clients[0].confirm()
        await clients[0].send([1, 0, "goes on"])
        assert await clients[0].data() == ["goes on"]
        close = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0}
        await clients[1].confirm()
        await clients[1].send(close)
        await asyncio.sleep(1)
        assert await try_open(hub, transport, open_frame()) is None


@each_transport
async def test_large_headers_are_charged(transport: str) -> None:
    hub = Hub(deaf, limits=LIMITS)
    async with hub.lifespan(), frame_client(hub, transport, headers={"cookie": "x" * 12_000}):
        assert 12_000 < counted(hub).memory - 16 * 1024 < 5 * 12_000


@each_transport
async def test_largest_session_that_grows_is_reset(transport: str) -> None:
    """Section 12: a session that fills its windows, not one with a little in them."""
    hub = Hub(deaf, limits=LIMITS)
    message = "x" * 200_000
    async with AsyncExitStack() as stack:

        async def attached() -> FrameClient:
            client = frame_client(hub, transport, open_frame())
            entered = await stack.enter_async_context(client)
            await entered.confirm()
            return entered

        small = await attached()
        await small.send([1, 0, "y" * 20_000])
        large = [await attached() for _ in range(8)]
        with suppress(Ended):  # over HTTP, the POST that makes its own session the largest
            for number in range(1, 6):
                for client in large:
                    if not counted(hub).memory_reached:
                        await client.send([number, 0, message])
                        await asyncio.sleep(1)
        assert counted(hub).memory_reached == 1
        assert counted(hub).memory < 6 * MIB
        by_id = {channel.id for channel in hub.channels if not channel._driver.ended}
        assert len(by_id) == 8
        assert small.opened["id"] in by_id
        await asyncio.sleep(300)  # until the others have expired, which leaves room for another
        [ended] = [client for client in large if client.opened["id"] not in by_id]
        frame = open_frame(
            client=ended.opened["client"], session=ended.token, attach=2, first_retained=1
        )
        async with frame_client(hub, transport, frame) as again:
            assert again.opened["reset"]["reason"] == "overflow"


@pytest.mark.parametrize("sends", ["send", "broadcast"])
async def test_unread_messages_are_charged_until_acknowledged(sends: str) -> None:
    """DAT-6: in the buffer, in a frame, and by the server; four times as much with an emoji."""
    channels: list[Channel] = []

    async def handler(channel: Channel) -> None:
        channels.append(channel)
        await deaf(channel)

    hub = Hub(handler, limits=LIMITS)
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        base = counted(hub).memory
        for number, (text, least) in enumerate((("x", 3), ("😀", 12)), 1):
            message = text + "x" * 100_000
            await (channels[0].send(message) if sends == "send" else hub.broadcast(message))
            assert least * 100_000 < counted(hub).memory - base < 1.5 * least * 100_000 + 10_000
            await client.data()
            await client.send({"type": "ack", "ack": number})
            await asyncio.sleep(1)
            assert counted(hub).memory == base


async def test_message_in_hand_is_charged_as_objects() -> None:
    """Section 12: it takes what Python makes of it until the handler asks for the next."""
    may_go_on = asyncio.Event()

    async def handler(channel: Channel) -> None:
        async for _ in channel:
            await may_go_on.wait()

    hub = Hub(handler, limits=Limits(memory=64 * MIB))
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        base = counted(hub).memory
        await client.send([1, 0, WORST])
        await asyncio.sleep(1)
        first = counted(hub).memory - base
        assert 4_000_000 < first < 16_000_000
        await client.send([2, 0, WORST])
        await asyncio.sleep(1)
        assert counted(hub).memory - base < 1.5 * first
        may_go_on.set()
        await asyncio.sleep(2)
        assert counted(hub).memory == base


@pytest.mark.parametrize("waits", [True, False])
async def test_message_without_memory_is_not_handed_over(waits: bool) -> None:
    """Section 12: whether or not the handler waits for it when it arrives."""
    got: list[Any] = []
    codes: list[int] = []

    async def handler(channel: Channel) -> None:
        if not waits:
            await asyncio.sleep(1)
        try:
            got.append(await channel.receive())
        except ChannelClosed as closed:
            codes.append(closed.code)

    hub = Hub(handler, limits=LIMITS)
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        await client.send([1, 0, WORST])
        end = await client.ended()
        assert end.frames[-1]["reason"] == "overflow"
        assert (got, codes) == ([], [4416])
        await asyncio.sleep(1)
        assert counted(hub).memory == 0


@each_transport
async def test_ended_sessions_are_no_longer_charged(transport: str) -> None:
    """However they end, and whatever they held."""
    hub = Hub(echo, limits=Limits(memory=64 * MIB, ttl=61))
    async with hub.lifespan():
        async with frame_client(hub, transport) as client:
            await client.confirm()
            await client.send([1, 0, "x" * 100_000])
            await asyncio.sleep(1)
            assert counted(hub).memory > 300_000
        await asyncio.sleep(100)
        assert counted(hub).memory == 0
