"""The lifecycle of a handler, and the ways in which a client affects it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from tests.support.counted import counted
from tests.support.short_limits import ShortLimits
from transport import Channel, ChannelClosed, Hub, Limits
from transport.testing import Socket, opening, socket, until

CONFIRM = {"type": "ack", "ack": 0}
CLOSE = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0}


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def in_a_task_group(channel: Channel) -> None:
    """Observe the end of the session in two tasks, which raises an exception group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_until_closed(channel.receive))
        group.create_task(_until_closed(lambda: channel.send("x" * 1000)))


async def _until_closed(step: Callable[[], Awaitable[object]]) -> None:
    while True:
        await step()


async def test_session_end_in_task_group_logs_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub(
        in_a_task_group,
        limits=ShortLimits(window_messages=2, heartbeat=0.1, poll_hold=0.1, ttl=0.4),
    )
    async with socket(hub, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
    await until(lambda: counted(hub).sessions == 0)
    assert [one.message for one in caplog.records if one.levelno >= logging.ERROR] == []


async def test_unhandled_close_of_other_channel_fails_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """CLS-3: this client did not close its channel; a normal close would hide the failure."""
    channels: list[Channel] = []

    async def sends_to_the_first(channel: Channel) -> None:
        channels.append(channel)
        async for message in channel:
            await channels[0].send(message)

    hub = Hub(sends_to_the_first)
    async with socket(hub, "/websocket") as first, socket(hub, "/websocket") as second:
        for nonce, ws in (("1" * 22, first), ("2" * 22, second)):
            ws.send(opening(nonce=nonce))
            await ws.frame()
            ws.send(CONFIRM)
        first.send(CLOSE)
        assert (await first.frame())["type"] == "close"
        second.send([1, 0, "x"])
        assert (await second.frame())["code"] == 1011
    assert "handler_failed channel=" in caplog.text


async def test_self_cancelled_handler_still_ends_session() -> None:
    """CLS-2."""

    async def gives_up(channel: Channel) -> None:
        await silent(channel)
        raise asyncio.CancelledError

    hub = Hub(gives_up)
    async with socket(hub, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        ws.send(CONFIRM)
        # The sweep sees the client's close before the handler ends.
        ws.send({**CLOSE, "last": 1})
        await asyncio.sleep(0.6)
        ws.send([1, 0, "x"])
        assert (await ws.frame())["code"] == 1011


async def test_drain_waits_for_cleanup_of_cancelled_handler() -> None:
    """The handler can still use resources that the application closes after the lifespan."""
    cleaned = asyncio.Event()

    async def busy(channel: Channel) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()

    hub = Hub(busy, limits=Limits(drain_grace=0.1))
    async with hub.lifespan(), socket(hub, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
    assert cleaned.is_set()


@pytest.mark.parametrize("wait", ["send", "receive", "acknowledged"])
async def test_handler_waits_end_when_session_expires(wait: str) -> None:
    """RES-5, LIV-3."""
    seen: list[ChannelClosed] = []

    async def waits(channel: Channel) -> None:
        await channel.send("fills the window")
        try:
            match wait:
                case "send":
                    await channel.send("waits")
                case "receive":
                    await channel.receive()
                case _:
                    await channel.acknowledged(1)
        except ChannelClosed as error:
            seen.append(error)
            raise

    limits = ShortLimits(window_messages=1, heartbeat=0.1, poll_hold=0.1, ttl=0.4)
    hub = Hub(waits, limits=limits)
    async with socket(hub, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
    await until(lambda: bool(seen))
    assert (seen[0].code, seen[0].reason) == (4416, "expired")
    await until(lambda: counted(hub).sessions == 0)


async def test_client_that_pings_but_never_reads_is_cut() -> None:
    """A pong is small, but there is no other bound on those queued for a peer that never reads."""
    hub = Hub(silent, limits=Limits(batch=10))
    async with socket(hub, "/websocket") as ws:
        await _opened(ws)
        ws.connection.blocked = asyncio.Event()
        for number in range(1000):
            ws.send({"type": "ping", "id": number})
        (channel,) = hub.channels
        await until(lambda: not channel.connected)
        ws.connection.blocked.set()
        frames = [await ws.frame() for _ in range(11)]
        assert frames[-1]["code"] == "too_many", json.dumps(frames)
        assert await ws.closed() == 4429


async def _opened(ws: Socket) -> None:
    ws.send(opening())
    await ws.frame()
    ws.send(CONFIRM)
