"""Operations of a handler on its channel, in process: sends, acks, failures and closes."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.support.confirmed_socket import confirmed_socket, next_frame
from tests.support.counted import counted
from tests.support.short_limits import ShortLimits
from transport import Busy, Channel, ChannelClosed, Hub, Limits, Stalled
from transport.testing import (
    ask,
    lines,
    opening,
    until,
)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def test_acknowledged_waits_for_client() -> None:
    """MRK-3."""
    numbers: list[int] = []
    done = asyncio.Event()

    async def sends(channel: Channel) -> None:
        numbers.extend([await channel.send("a"), await channel.send("b")])
        await channel.flush()
        await channel.acknowledged(2)
        done.set()
        with pytest.raises(ValueError, match="no message has the number 3"):
            await channel.acknowledged(3)

    async with confirmed_socket(Hub(sends)) as ws:
        assert await ws.frame() == [1, 0, "a", "b"]
        assert await ws.frame() == {"type": "ack", "ack": 0, "prompt": True}
        assert not done.is_set()
        ws.send({"type": "ack", "ack": 2})
        await asyncio.wait_for(done.wait(), 30)
        assert numbers == [1, 2]
        assert (await ws.frame())["type"] == "close"


async def test_send_that_waits_for_room_asks_for_ack() -> None:
    """MRK-8: a client may let its ack wait, but nobody waits for it."""

    async def sends(channel: Channel) -> None:
        for _ in range(2):
            await channel.send("x" * 600)
        await channel.receive()

    limits = Limits(message=1000, window_bytes=1000)
    async with confirmed_socket(Hub(sends, limits=limits)) as ws:
        assert await ws.frame() == [1, 0, "x" * 600]
        assert await ws.frame() == {"type": "ack", "ack": 0, "prompt": True}
        ws.send({"type": "ack", "ack": 1})
        assert await ws.frame() == [2, 0, "x" * 600]


async def test_acknowledged_fails_when_session_ends() -> None:
    seen: list[ChannelClosed] = []

    async def sends(channel: Channel) -> None:
        waiting = asyncio.ensure_future(channel.acknowledged(await channel.send("a")))
        await asyncio.sleep(0)
        await channel.close(3000)
        try:
            await waiting
        except ChannelClosed as error:
            seen.append(error)
            raise

    limits = Limits(closing=0.1)
    hub = Hub(sends, limits=limits)
    async with confirmed_socket(hub) as ws:
        assert await ws.frame() == [1, 0, "a"]
        assert (await ws.frame())["code"] == 3000
        assert await ws.closed() == 3000
    assert [error.code for error in seen] == [3000]


async def test_second_receiver_is_refused() -> None:
    seen: list[BaseException] = []

    async def greedy(channel: Channel) -> None:
        first = asyncio.ensure_future(channel.receive())
        await asyncio.sleep(0)
        try:
            await channel.receive()
        except Busy as error:
            seen.append(error)
        assert await first == "x"

    async with confirmed_socket(Hub(greedy)) as ws:
        ws.send([1, 0, "x"])
        await until(lambda: bool(seen))
        assert (await ws.frame())["type"] == "close"


async def test_send_waits_at_full_window_until_acks() -> None:
    """DAT-6."""
    sent: list[int] = []

    async def sends(channel: Channel) -> None:
        for number in range(6):
            sent.append(await channel.send(number))  # noqa: PERF401 - read while it grows

    async with confirmed_socket(Hub(sends, limits=Limits(window_messages=2))) as ws:
        assert await next_frame(ws) == [1, 0, 0, 1]
        assert sent == [1, 2]
        ws.send({"type": "ack", "ack": 1})
        assert await next_frame(ws) == [3, 0, 2]
        ws.send({"type": "ack", "ack": 3})
        assert await next_frame(ws) == [4, 0, 3, 4]
        ws.send({"type": "ack", "ack": 5})
        assert await next_frame(ws) == [6, 0, 5]


async def test_concurrent_senders_are_served_in_order() -> None:
    """DAT-6."""

    async def sends(channel: Channel) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(channel.send(number))

    async with confirmed_socket(Hub(sends, limits=Limits(window_messages=2))) as ws:
        got: list[int] = []
        while len(got) < 5:
            frame = await next_frame(ws)
            got += frame[2:]
            ws.send({"type": "ack", "ack": frame[0] + len(frame) - 3})
        assert got == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("window", [1, 2])
async def test_broadcast_leaves_room_promised_to_sender(window: int) -> None:
    """DAT-6: the room that an ack makes is the waiting sender's, in the same turn too."""
    took: list[object] = []

    async def sends(channel: Channel) -> None:
        for _ in range(window):
            await channel.send("fills the window")
        waiting = asyncio.ensure_future(channel.send("waits"))
        await channel.receive()  # woken before the sender, by a frame that also acknowledges
        await hub.broadcast("to all")
        took.append(await waiting)
        await channel.receive()

    hub = Hub(sends, limits=Limits(window_messages=window))
    async with confirmed_socket(hub) as ws:
        await next_frame(ws)
        ws.send([1, window, "go"])
        if window == 1:
            assert (await next_frame(ws))["reason"] == "overflow"
            assert took == []
        else:
            assert sorted((await next_frame(ws))[2:]) == ["to all", "waits"]
            assert took == [4]


async def test_send_after_drain_raises_channel_closed() -> None:
    """DRN-1: nobody will get the message here, whether or not there is room for it."""
    errors: list[ChannelClosed] = []
    drained = asyncio.Event()

    async def sends(channel: Channel) -> None:
        await drained.wait()
        for message in ("room", "x" * 1000):
            with pytest.raises(ChannelClosed) as raised:
                await channel.send(message)
            errors.append(raised.value)
        await hub.broadcast("everybody")  # reaches nobody, and does not fail

    hub = Hub(sends)
    async with confirmed_socket(hub):
        draining = asyncio.ensure_future(hub.drain())
        await asyncio.sleep(0)
        drained.set()
        await draining
    assert [error.code for error in errors] == [1012, 1012]


async def test_cancelled_send_does_not_block_next_send() -> None:
    """DAT-6."""

    async def sends(channel: Channel) -> None:
        await channel.send("a")
        second = asyncio.ensure_future(channel.send("b"))
        third = asyncio.ensure_future(channel.send("c"))
        await asyncio.sleep(0)
        second.cancel()
        await third

    async with confirmed_socket(Hub(sends, limits=Limits(window_messages=1))) as ws:
        assert await next_frame(ws) == [1, 0, "a"]
        ws.send({"type": "ack", "ack": 1})
        assert await next_frame(ws) == [2, 0, "c"]


async def test_send_stalls_if_client_acknowledges_nothing() -> None:
    seen: list[Stalled] = []

    async def sends(channel: Channel) -> None:
        try:
            while True:
                await channel.send("x")
        except Stalled as error:
            seen.append(error)

    async with confirmed_socket(Hub(sends, limits=Limits(window_messages=2, stall=0.1))) as ws:
        assert await next_frame(ws) == [1, 0, "x", "x"]
        assert (await next_frame(ws))["type"] == "close"
        assert len(seen) == 1


async def test_failed_handler_closes_with_1011_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """CLS-3."""

    async def fails(channel: Channel) -> None:
        await channel.receive()
        raise KeyError("secret detail")

    hub = Hub(fails)
    async with confirmed_socket(hub) as ws:
        ws.send([1, 0, "x", "y"])
        assert await ws.frame() == {
            "type": "close",
            "code": 1011,
            "reason": "the server's handler failed",
            "by": "protocol",
            "last": 0,
            "ack": 0,
            "in_hand": 1,
        }
        assert await ws.closed() == 1011
    assert "secret detail" in caplog.text


async def test_closing_client_gets_what_handler_still_sends() -> None:
    """CLS-2."""
    ended: list[str] = []

    async def answers(channel: Channel) -> None:
        async for message in channel:
            await channel.send(["got", message])
        ended.append("iteration")
        with pytest.raises(ChannelClosed) as caught:
            await channel.receive()
        assert (caught.value.code, caught.value.reason) == (3001, "done")
        await channel.send("bye")

    async with confirmed_socket(Hub(answers)) as ws:
        ws.send([1, 0, "x"])
        ws.send({"type": "close", "code": 3001, "reason": "done", "by": "app", "last": 2, "ack": 0})
        assert await ws.frame() == [1, 1, ["got", "x"]]
        assert not ended
        ws.send([2, 1, "y"])
        assert await ws.frame() == [2, 2, ["got", "y"], "bye"]
        close = await ws.frame()
        assert (close["code"], close["by"], close["last"], close["ack"]) == (3001, "app", 3, 2)
        ws.send({"type": "ack", "ack": 3})
        assert await ws.closed() == 3001


async def test_close_rejects_bad_code_and_reason() -> None:
    """CLS-9."""
    done = asyncio.Event()

    async def closes(channel: Channel) -> None:
        for code in (1002, 2999, 5000):
            with pytest.raises(ValueError, match="close code"):
                await channel.close(code)
        with pytest.raises(ValueError, match="123 bytes"):
            await channel.close(1000, "é" * 62)
        done.set()

    async with confirmed_socket(Hub(closes)):
        await asyncio.wait_for(done.wait(), 30)


async def test_handler_that_outlives_session_is_cancelled() -> None:
    ended = asyncio.Event()

    async def lingers(channel: Channel) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    hub = Hub(lingers, limits=Limits(closing=0.1))
    async with confirmed_socket(hub) as ws:
        ws.send({"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0})
        await asyncio.wait_for(ended.wait(), 30)
        assert (await ws.frame())["code"] == 1011
    await until(lambda: counted(hub).sessions == 0)


async def test_expired_session_ends_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    """LIV-3, RES-5."""
    caplog.set_level(logging.INFO)
    ended = asyncio.Event()

    async def keeps(channel: Channel) -> None:
        await silent(channel)
        ended.set()

    hub = Hub(keeps, limits=ShortLimits(heartbeat=0.1, poll_hold=0.1, ttl=0.5))
    answer = await ask(hub, "/poll", lines(opening()))
    first = answer.frames[0]
    await asyncio.wait_for(ended.wait(), 30)
    await until(lambda: counted(hub).sessions == 0)
    again = opening(2, session=first["session"], epoch=first["epoch"], nonce="n" * 22)
    reset = (await ask(hub, "/poll", lines(again))).frames[0]["reset"]
    assert reset["reason"] == "expired"
    assert (reset["lost"], reset["handled"]) == ([], 0)
    secret = first["session"].partition(".")[2]
    assert secret not in caplog.text
    assert first["id"] in caplog.text
