"""Each timeout just before and just after it ends, on each transport (section 12).

The clock is virtual. Timeouts that the sweep checks are exact to a quarter of a second.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.clients.frame_client import TRANSPORTS, Ended, frame_client, try_open
from tests.support.counted import counted
from tests.unit.server.limits.turned_times import SWEEP, at, now, resuming_open
from transport import Channel, Hub, Limits
from transport.testing import lines, opening, request, socket, until, whole

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
each_stream = pytest.mark.parametrize("transport", ["websocket", "sse"])


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def sleeps(channel: Channel) -> None:
    await asyncio.sleep(10_000)


# heartbeat


@each_stream
async def test_two_unanswered_pings_detach_connection(transport: str) -> None:
    """LIV-1: a ping follows 20 s of silence; two unanswered pings detach the connection."""
    hub = Hub(silent)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        for number in (1, 2):
            assert await client.control("ping") == {"type": "ping"}
            assert now() == at(20 * number)
        end = await client.ended()
        assert now() == at(60)
        assert end.error["code"] == "timeout"
        assert counted(hub).sessions == 1
        async with frame_client(hub, transport, resuming_open(client)) as second:
            assert second.opened["verdict"] == "resumed"


@each_stream
async def test_answered_pings_keep_connection(transport: str) -> None:
    """LIV-1, LIV-3."""
    hub = Hub(silent, limits=Limits(stream=10_000))
    async with frame_client(hub, transport) as client:
        for _ in range(30):
            await client.control("ping")
            await client.send({"type": "pong"})
        assert now() > 500
        assert counted(hub).connections[transport] == 1


async def test_missing_poll_detaches_after_two_heartbeats() -> None:
    """LIV-1, LIV-2: the attach ends two heartbeats and 5 s after the last answer."""
    hub = Hub(silent)
    async with frame_client(hub, "longpoll") as client:
        await client.confirm()
        await asyncio.sleep(44)
        assert counted(hub).connections["longpoll"] == 1
        await asyncio.sleep(1 + SWEEP)
        assert counted(hub).connections["longpoll"] == 0
        with pytest.raises(Ended) as ended:
            await client.frame()
        assert ended.value.error["code"] == "not_attached"


# ttl


@each_transport
@pytest.mark.parametrize(("away", "verdict"), [(119.5, "resumed"), (121, "reset")])
async def test_session_expires_after_ttl(transport: str, away: float, verdict: str) -> None:
    """LIV-3, RES-5."""
    hub = Hub(silent)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        if transport == "websocket":
            await client.send([1, 0, "x"])
    await asyncio.sleep(away)
    async with frame_client(hub, transport, resuming_open(client)) as second:
        assert second.opened["verdict"] == verdict
        if verdict == "reset":
            assert second.opened["reset"]["reason"] == "expired"


# tombstone


@each_transport
@pytest.mark.parametrize(("later", "reason"), [(599, "expired"), (601.5, "unknown")])
async def test_reason_of_end_is_kept_for_tombstone_time(
    transport: str, later: float, reason: str
) -> None:
    """RES-8."""
    hub = Hub(silent)
    async with frame_client(hub, transport) as client:
        await client.confirm()
    await until(lambda: counted(hub).connections[transport] == 0 or transport == "longpoll")
    await asyncio.sleep(120 + later)
    async with frame_client(hub, transport, resuming_open(client)) as second:
        assert second.opened["reset"]["reason"] == reason


# closing


@each_transport
@pytest.mark.parametrize(("away", "delivered"), [(29, True), (31, False)])
async def test_closed_session_delivers_until_closing_time(
    transport: str, away: float, delivered: bool
) -> None:
    """CLS-1, CLS-4, CLS-5: until then a resume delivers what was sent; afterwards it is lost."""

    async def parts(channel: Channel) -> None:
        await channel.receive()
        await channel.send("bye")

    hub = Hub(parts)
    async with frame_client(hub, transport) as client:
        await client.send([1, 0, "go"])
        await until(lambda: next(iter(hub.channels)).statistics().sent == 1)
    await asyncio.sleep(away)
    frame = resuming_open(client, first_retained=2)
    if delivered:
        async with frame_client(hub, transport, frame) as second:
            assert await second.data() == ["bye"]
            assert (await second.control("close"))["last"] == 1
    else:
        with pytest.raises(Ended) as ended:
            async with frame_client(hub, transport, frame):
                pass
        [close] = ended.value.frames
        assert (close["type"], close["code"], close["last"], close["ack"]) == ("close", 1000, 1, 1)
        assert counted(hub).sessions == 0


async def test_handler_is_cancelled_after_closing_time() -> None:
    """CLS-2: this happens `closing` seconds after the client's close."""
    ended: list[float] = []

    async def goes_on(channel: Channel) -> None:
        try:
            await asyncio.sleep(10_000)
        finally:
            ended.append(now())

    async with frame_client(Hub(goes_on), "websocket") as client:
        await client.confirm()
        close = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0}
        await client.send(close)
        assert (await client.control("close"))["code"] == 1011
        assert ended == [at(30)]


# poll_hold


@pytest.mark.parametrize("hold", [None, 5, 0.5, 20, 100])
async def test_parked_poll_is_answered_after_hold(hold: float | None) -> None:
    """POL-3: up to a tenth less, at random. A client may ask for less, but not for more."""
    hub = Hub(silent)
    async with frame_client(hub, "longpoll") as client:
        frame = client.head("poll", ack=0)
        if hold is not None:
            frame["hold"] = hold
        most = min(hold or 20, 20)
        held = []
        for number in range(1, 9):
            begun = now()
            connection = request(hub, "/poll", lines({**frame, "poll": number}))
            assert (await whole(connection, 100)).frames == [{"type": "ack", "ack": 0}]
            held.append(now() - begun)
        assert all(0.9 * most <= one <= most + 0.001 for one in held)
        assert len(set(held)) > 1


# opening: the timeout for an `open` and for a body


async def test_websocket_without_open_times_out() -> None:
    """OPN-9: after 10 s, with or without probes."""
    async with socket(Hub(silent), "/websocket") as ws:
        ws.send({"type": "ping"})
        await ws.frame()
        with pytest.raises(TimeoutError):
            await ws.connection.next(9.9)
        assert (await ws.frame())["code"] == "timeout"
        assert await ws.closed() == 4408
        assert now() == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("path", ["/sse", "/poll", "/send"])
@pytest.mark.parametrize(("duration", "status"), [(9.9, 200), (10.1, 408)])
async def test_incomplete_body_times_out(path: str, duration: float, status: int) -> None:
    """HTTP-1: from its first byte to its last."""
    hub = Hub(silent)
    async with frame_client(hub, "longpoll") as client:
        frame: dict[str, Any] = opening(nonce="b" * 22)
        if path == "/send":
            frame = client.head()
        body = lines(frame)
        connection = request(hub, path)
        connection.inbound.get_nowait()  # the empty body that `request` has queued
        connection.inbound.put_nowait({"type": "http.request", "body": body[:9], "more_body": True})
        await asyncio.sleep(duration)
        connection.inbound.put_nowait({"type": "http.request", "body": body[9:]})
        start = await connection.next()
        assert start["status"] == status
        await connection.stop()


# stream


@pytest.mark.parametrize("answers", [True, False])
async def test_stream_is_drained_after_stream_limit(answers: bool) -> None:
    """SSE-3: a stream ends after 300 s even if it is active, and the client reopens it."""
    hub = Hub(echo, limits=Limits() if answers else Limits(heartbeat=200, ttl=1000))
    async with frame_client(hub, "sse") as client:
        await client.confirm()
        while (frame := await client.frame())["type"] != "drain":
            if frame["type"] == "ping" and answers:
                await client.send({"type": "pong"})
        assert frame == {"type": "drain", "retry_in": 0.0}
        assert now() == at(300)
        async with frame_client(hub, "sse", resuming_open(client)) as second:
            assert second.opened["verdict"] == "resumed"


# ack_delay and answer_wait


async def test_lone_ack_leaves_after_ack_delay() -> None:
    """MRK-6, SSE-1: a stream sends a lone ack, its second event, within 0.1 s."""
    async with frame_client(Hub(silent), "sse") as client:
        assert await client.frame() == {"type": "ack", "ack": 0}
        assert now() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("duration", "ack", "waited"), [(0.01, 1, 0.01), (0.03, 0, 0.02)])
async def test_post_answer_waits_for_handled_messages(
    duration: float, ack: int, waited: float
) -> None:
    """SND-2."""

    async def works(channel: Channel) -> None:
        async for _ in channel:
            await asyncio.sleep(duration)

    async with frame_client(Hub(works), "longpoll") as client:
        begun = now()
        answer = await client.post([1, 0, "x"])
        assert answer.frames[0]["ack"] == ack
        assert now() - begun == pytest.approx(waited, abs=0.001)


# drain_window and drain_grace


@each_transport
async def test_drain_spreads_retries_over_its_window(transport: str) -> None:
    """DRN-1."""
    hub = Hub(silent, limits=Limits(drain_window=7))
    async with frame_client(hub, transport) as client:
        await client.confirm()
        draining = asyncio.create_task(client.control("drain"))
        await asyncio.sleep(1)
        await hub.drain()
        assert (await draining)["retry_in"] == 7.0
        refused = await try_open(hub, transport, resuming_open(client))
        assert refused is not None
        assert (refused.error["code"], refused.error["retry_in"]) == ("unavailable", 7.0)


@pytest.mark.parametrize(("duration", "cancelled"), [(9.9, False), (10.1, True)])
async def test_handler_is_cancelled_after_drain_grace(duration: float, cancelled: bool) -> None:
    """DRN-1: a running handler has 10 s."""
    ends: list[str] = []

    async def works(channel: Channel) -> None:
        try:
            await asyncio.sleep(duration)
            ends.append("done")
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    hub = Hub(works)
    async with frame_client(hub, "websocket"):
        await hub.drain()
        assert now() == pytest.approx(min(duration, 10), abs=0.01)
        assert ends == ["cancelled" if cancelled else "done"]
