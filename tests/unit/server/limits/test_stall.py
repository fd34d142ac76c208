"""The stall limit: a send that gets no ack fails after this time (section 12). Virtual clock."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.clients.frame_client import TRANSPORTS, FrameClient, frame_client
from tests.unit.server.limits.turned_times import at, now, resuming_open
from transport import Channel, ChannelClosed, Hub, Limits, Stalled
from transport.testing import until

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@each_transport
async def test_send_stalls_without_acks(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    """DAT-6, section 12: a send fails after 60 s without an ack; the session continues."""
    seen: list[tuple[float, Stalled]] = []

    async def fills(channel: Channel) -> None:
        for number in range(3):
            try:
                await channel.send(number)
            except Stalled as error:
                seen.append((now(), error))
        await channel.send("goes on")
        await channel.receive()

    hub = Hub(fills, limits=Limits(window_messages=2, stream=1000))
    async with frame_client(hub, transport) as client:
        await client.confirm()
        await client.data()  # received, but not acknowledged
        beating = asyncio.create_task(_keep_alive(client))
        await asyncio.sleep(59.5)
        assert seen == []
        await asyncio.sleep(1)
        [(when, error)] = seen
        assert when == at(60)
        assert "acknowledged nothing for 60.0 s" in str(error)
        assert "Retry later" in str(error)
        assert "Limits(stall=...)" in str(error)
        assert "stalled channel=" in caplog.text
        await client.send({"type": "ack", "ack": 1})
        await until(lambda: next(iter(hub.channels)).statistics().sent == 3)
        beating.cancel()


async def _keep_alive(client: FrameClient) -> None:
    """Send pongs, which keep the connection alive but acknowledge nothing."""
    while True:
        await client.send({"type": "pong"})
        await asyncio.sleep(10)


@each_transport
async def test_acks_or_absence_prevent_stall(transport: str) -> None:
    """Section 12: each ack restarts the timeout; while detached, only `ttl` applies."""
    stalled: list[float] = []

    async def fills(channel: Channel) -> None:
        try:
            for number in range(1, 5):
                await channel.send(number)
        except Stalled:
            stalled.append(now())
            raise

    # `stall` is longer than it takes to detect that a client has stopped polling.
    hub = Hub(fills, limits=Limits(window_messages=1, stream=1000, stall=90))
    async with frame_client(hub, transport) as client:
        await client.confirm()
        for number in (1, 2):
            await client.data()
            await asyncio.sleep(40)
            await client.send({"type": "ack", "ack": number})
        await client.data()
        await asyncio.sleep(40)
        await client.send({"type": "pong"})
    await asyncio.sleep(100)  # away
    assert stalled == []
    frame = resuming_open(client, received=2)
    async with frame_client(hub, transport, frame) as second:
        await second.confirm()
        resumed = now()
        beating = asyncio.create_task(_keep_alive(second))
        await asyncio.sleep(89)
        assert stalled == []
        await asyncio.sleep(2)
        assert stalled == [at(resumed + 90)]
        beating.cancel()


async def test_waiting_send_fails_when_session_expires() -> None:
    """Section 12: `ttl` ends the session and the send."""
    ended: list[tuple[float, int]] = []

    async def fills(channel: Channel) -> None:
        try:
            while True:
                await channel.send("x")
        except ChannelClosed as closed:
            ended.append((now(), closed.code))

    hub = Hub(fills, limits=Limits(window_messages=1))
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
    await until(lambda: not next(iter(hub.channels)).connected)
    await asyncio.sleep(121)
    assert ended == [(at(120), 4416)]
