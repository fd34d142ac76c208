"""The window and the rate of frames at their bounds, on each transport (section 12)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.clients.frame_client import frame_client, open_frame
from tests.support.counted import counted
from tests.unit.server.limits.bounds import LIMITS, around, deaf, each_transport, echo
from transport import Channel, Hub, Limits
from transport.testing import drive, opening


@each_transport
@around
@pytest.mark.parametrize("limit", ["window_messages", "window_bytes"])
async def test_send_waits_at_full_window(transport: str, beyond: int, limit: str) -> None:
    """DAT-6: a send beyond the window waits, and continues after an ack."""
    size = 100 if limit == "window_messages" else LIMITS.window_bytes // 4
    count = (LIMITS.window_messages if limit == "window_messages" else 4) + beyond
    numbers: list[int] = []

    async def sends(channel: Channel) -> None:
        for _ in range(count):
            numbers.append(await channel.send("x" * (size - 2)))  # noqa: PERF401
        await deaf(channel)

    async with frame_client(Hub(sends, limits=LIMITS), transport) as client:
        await asyncio.sleep(1)
        assert len(numbers) == min(count, count - beyond)
        await client.data()
        if beyond > 0:
            await client.send({"type": "ack", "ack": 1})
            await asyncio.sleep(1)
            assert len(numbers) == count


@each_transport
@around
@pytest.mark.parametrize("limit", ["window_messages", "window_bytes"])
async def test_broadcast_resets_full_session(transport: str, beyond: int, limit: str) -> None:
    """DAT-6: a broadcast never waits; only the full session ends, with `overflow`."""
    size = 100 if limit == "window_messages" else LIMITS.window_bytes // 4
    count = (LIMITS.window_messages if limit == "window_messages" else 4) + beyond
    hub = Hub(deaf, limits=LIMITS)
    async with (
        frame_client(hub, transport) as slow,
        drive(hub, transport=transport) as quick,
    ):
        await slow.confirm()
        alive = []
        for _ in range(count):
            await hub.broadcast("x" * (size - 2))
            alive.append(sum(not each._driver.is_over for each in hub.channels))
            await quick.receive()
        assert alive[: count - max(beyond, 0)] == [2] * (count - max(beyond, 0))
        if beyond <= 0:
            assert counted(hub).sessions == 2
            return
        assert alive[-1] == 1
        reset = (await slow.ended()).frames[-1]
        if transport != "longpoll":
            assert (reset["type"], reset["reason"]) == ("reset", "overflow")
        frame = opening(2, session=slow.token, nonce="n" * 22, received=1)
        async with frame_client(hub, transport, frame) as again:
            reported = again.opened["reset"]
            assert (reported["reason"], reported["lost"]) == ("overflow", [2, None])
            assert reported["dropped"] == 1


@each_transport
@pytest.mark.parametrize("how", ["broadcast", "group", "send_to"])
async def test_broadcast_group_and_send_to_overflow_alike(transport: str, how: str) -> None:
    """DAT-6."""
    hub = Hub(deaf, limits=LIMITS)
    async with frame_client(hub, transport) as client:
        (channel,) = hub.channels
        group = hub.group("all")
        await group.add(channel)
        sends: dict[str, Any] = {
            "broadcast": hub.broadcast,
            "group": group.send,
            "send_to": lambda message: hub.send_to(channel.id, message),
        }
        for number in range(10):
            await sends[how](number)
        assert channel.statistics().sent == 8
        await client.ended()


@each_transport
@around
async def test_frame_beyond_window_of_messages_is_refused(transport: str, beyond: int) -> None:
    """DAT-6: `window_exceeded` ends the connection, and no message of the frame is accepted."""
    count = LIMITS.window_messages + beyond
    async with frame_client(Hub(deaf, limits=LIMITS), transport) as client:
        await client.confirm()
        if beyond <= 0:
            await client.send([1, 0, *range(count)])
            assert (await client.post()).frames[0]["received"] == count
            return
        error = await client.refusal([1, 0, *range(count)])
        assert (error["code"], error["limit"]) == ("window_exceeded", "window_messages")
        assert "Limits(window_messages=8)" in error["message"]
        if transport == "websocket":
            assert (await client.ended()).code == 4412
        else:
            assert (await client.post([1, 0, *range(count)])).status == 413


@each_transport
async def test_frame_beyond_window_of_bytes_is_refused(transport: str) -> None:
    """DAT-6: the window may be exceeded by one frame in flight, but no more."""
    async with frame_client(Hub(deaf, limits=LIMITS), transport) as client:
        await client.confirm()
        message = "x" * (LIMITS.message - 2)
        fit = (LIMITS.window_bytes + LIMITS.body) // LIMITS.message
        for number in range(1, fit + 1):
            await client.send([number, 0, message])
        error = await client.refusal([fit + 1, 0, message])
        assert (error["code"], error["limit"]) == ("window_exceeded", "window_bytes")
        assert "Limits(window_bytes=6000)" in error["message"]


@each_transport
async def test_control_frames_beyond_their_rate_end_connection(transport: str) -> None:
    """LIV-5: the session lives, and its next connection works."""
    hub = Hub(echo)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        pings = [{"type": "ping", "id": number} for number in range(1, 202)]  # one too many
        if transport == "websocket":
            await client.send(*pings)
            end = await client.ended()
            assert end.code == 4429
            assert [frame["id"] for frame in end.frames[:-1]] == list(range(1, 201))
            error = end.error
        else:
            answer = await client.post(*pings)
            assert answer.status == 429
            error = answer.frames[0]
        assert (error["code"], error["limit"]) == ("too_many", "control")
        assert (error["retry_in"], "control_per_second=200" in error["message"]) == (1.0, True)
        frame = opening(2, session=client.token)
        async with frame_client(hub, transport, frame) as second:
            assert second.opened["verdict"] == "resumed"


async def test_other_connections_get_their_turn_among_many_frames() -> None:
    """Section 12: a server hands over frames without a pause as long as there are any."""
    limits = Limits(control_per_second=10_000, frames_per_turn=64)
    hub = Hub(echo, limits=limits)
    async with (
        frame_client(hub, "websocket") as busy,
        frame_client(hub, "websocket", open_frame()) as other,
    ):
        await busy.confirm()
        await other.confirm()
        await asyncio.sleep(1)
        await busy.send(*[{"type": "ping", "id": number} for number in range(900)])
        await other.send({"type": "ping", "id": 1})
        assert await other.control("pong") == {"type": "pong", "id": 1}
        answered = busy.socket._socket.connection.outbound.qsize()  # type: ignore[attr-defined]
        assert answered <= 6 * 64  # the pong passes through a few tasks, each with its turn


async def test_unread_pongs_beyond_batch_end_connection() -> None:
    """LIV-2, section 12."""
    async with frame_client(Hub(echo, limits=LIMITS), "websocket") as client:
        for number in range(LIMITS.batch + 1):
            await client.send({"type": "ping", "id": number})
        end = await client.ended()
        assert end.code == 4429
        assert end.error["limit"] == "batch"
        assert "Limits(batch=10)" in end.error["message"]
