"""What follows when a handler returns at once, or fails; and what is counted of resets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support.counted import counted
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from transport import Channel, ChannelClosed, Fate, Hub, Limits, SessionReset, Unacknowledged
from transport.testing import drive

each_transport = pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])


async def waits(channel: Channel) -> None:
    await channel.wait_closed()


# A handler that returns at once


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if getattr(record, "event", None) == "handler_returned"
    ]


async def test_handler_that_returns_at_once_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def pushes(channel: Channel) -> None:
        await channel.send("hello")

    async with drive(Hub(pushes)) as page:
        assert [message async for message in page] == ["hello"]
    [line] = warnings_of(caplog)
    assert "await channel.wait_closed()" in line
    assert "await channel.close()" in line


async def received(channel: Channel) -> None:
    await channel.receive()


async def closes(channel: Channel) -> None:
    await channel.close()


async def takes_its_time(channel: Channel) -> None:
    await asyncio.sleep(1.1)


async def fails(channel: Channel) -> None:
    raise KeyError


@pytest.mark.parametrize("handler", [received, closes, takes_its_time, fails, waits])
async def test_handler_that_means_to_return_is_not_warned_of(
    handler: Callable[[Channel], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async with drive(Hub(handler)) as page:
        with suppress(ChannelClosed):
            await page.send("x")
        await asyncio.sleep(2)
        if handler is waits:
            await page.close()
    assert warnings_of(caplog) == []


async def test_handler_left_by_its_client_is_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(channel: Channel) -> None:
        await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await page.close()
    assert warnings_of(caplog) == []


# A handler that fails


@each_transport
async def test_failed_handler_is_called_again_for_new_session(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """CLS-8: what was sent before arrives, and the fates of the page's sends are known."""
    calls: list[Channel] = []

    async def handler(channel: Channel) -> None:
        calls.append(channel)
        if len(calls) == 1:
            await channel.send("before")
            async for message in channel:
                if message == "bad":
                    raise KeyError("secret detail")
        await channel.send("after")
        await channel.wait_closed()

    hub = Hub(handler, on_error="reopen")
    async with drive(hub, transport=transport) as page:
        assert await page.receive() == "before"
        sends = [await page.send(message) for message in ("good", "bad", "never")]
        with pytest.raises(SessionReset) as reset:
            await page.receive()
        began = asyncio.get_running_loop().time()
        assert (reset.value.reason, reset.value.lost, reset.value.dropped) == ("failed", (), 0)
        assert await page.receive() == "after"
        assert asyncio.get_running_loop().time() - began >= 1
        await page.acknowledged(sends[0])
        for number, fate in ((sends[1], "unknown"), (sends[2], "not_handled")):
            with pytest.raises(Exception, match=f"its fate: {fate}"):
                await page.acknowledged(number)
        await page.close()
    assert len({channel.id for channel in calls}) == 2
    assert caplog.text.count("handler_failed") == 1
    assert "secret detail" in caplog.text


async def test_failed_handler_closes_by_default() -> None:
    async def handler(channel: Channel) -> None:
        await channel.receive()
        raise KeyError

    async with drive(Hub(handler)) as page:
        await page.send("x")
        with pytest.raises(ChannelClosed, match="1011: the server's handler failed"):
            await page.receive()


@pytest.mark.parametrize(
    ("on_error", "consequence"),
    [
        ("close", "closes with 1011. With Hub(on_error='reopen') its page opens a new session"),
        ("reopen", "its page opens a new session"),
    ],
)
async def test_failed_handler_log_says_what_page_gets(
    on_error: Any, consequence: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with drive(Hub(fails, on_error=on_error)) as page:
        with pytest.raises((ChannelClosed, SessionReset)):
            await page.receive()
    line = next(text for text in caplog.messages if text.startswith("handler_failed"))
    assert consequence in line
    assert ("1011" in line) == (on_error == "close")


async def test_handler_failed_after_its_session_has_no_consequence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(channel: Channel) -> None:
        await channel.close()
        raise KeyError

    async with drive(Hub(handler)) as page:
        with pytest.raises(ChannelClosed, match="1000"):
            await page.receive()
    [line] = [text for text in caplog.messages if text.startswith("handler_failed")]
    assert "its session had ended already" in line
    assert "1011" not in line


class Outcome(BaseException):
    """As of a library; that of ``pytest.fail`` is one, too."""


async def test_handler_that_ends_by_base_exception_closes(caplog: pytest.LogCaptureFixture) -> None:
    """So `drive` shows what failed: in the log of the test."""

    async def handler(channel: Channel) -> None:
        await channel.receive()
        raise Outcome("expected a greeting")

    hub = Hub(handler)
    async with hub.lifespan(), drive(hub) as page:
        await page.send("x")
        with pytest.raises(ChannelClosed, match="1011: the server's handler failed"):
            await page.receive()
        await asyncio.sleep(1)
        assert counted(hub).sessions == 0
    assert caplog.text.count("handler_failed") == 1
    assert "expected a greeting" in caplog.text


async def test_handler_that_awaits_cancelled_task_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(channel: Channel) -> None:
        await channel.receive()
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    async with drive(Hub(handler)) as page:
        await page.send("x")
        with pytest.raises(ChannelClosed, match="1011: the server's handler failed"):
            await page.receive()
    assert caplog.text.count("handler_failed") == 1


async def test_handler_cancelled_by_runner_has_not_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(channel: Channel) -> None:
        await asyncio.sleep(10_000)

    hub = Hub(handler)
    async with hub.lifespan(), drive(hub) as page:
        await page.close(within=60)
        async with drive(hub):
            await hub.drain()
    assert caplog.text.count("handler_cancelled") == 2
    assert "handler_failed" not in caplog.text


@pytest.mark.parametrize("fails", [True, False])
async def test_reset_counts_messages_until_handler_ends(fails: bool) -> None:
    """RES-2: those that were dropped after the reset, too."""

    async def handler(channel: Channel) -> None:
        await hub.group("all").add(channel)
        await asyncio.sleep(10)
        if fails:
            raise KeyError

    hub = Hub(handler, limits=Limits(window_messages=2))
    async with hub.lifespan(), drive(hub) as page:
        page.cut()
        for number in range(7):
            await hub.group("all").send(number)
            await asyncio.sleep(1)
        await asyncio.sleep(10)
        await page.resume()
        with pytest.raises(SessionReset) as reset:
            await page.receive()
        assert (reset.value.reason, reset.value.dropped) == ("overflow", 5)


def test_other_words_for_on_error_are_refused() -> None:
    with pytest.raises(ValueError, match="on_error must be one of"):
        Hub(waits, on_error="retry")  # type: ignore[arg-type]


# What statistics count


async def test_each_reset_is_counted_by_reason_once() -> None:
    async def handler(channel: Channel) -> None:
        await hub.group("all").add(channel)
        await channel.wait_closed()

    hub = Hub(handler, limits=Limits(window_messages=2))
    async with drive(hub) as page:
        page.cut()
        await asyncio.sleep(121)
        assert not await page.resume()
        with pytest.raises(SessionReset, match="expired"):
            await page.receive()
        page.stop_reading()
        for number in range(5):
            await hub.group("all").send(number)
        page.read_on()
        with pytest.raises(SessionReset) as reset:
            await page.receive()
        assert (reset.value.reason, reset.value.lost) == ("overflow", (1, None))
        assert reset.value.dropped == 3
        assert "all from 1" in str(reset.value)
    assert counted(hub).resets == {"expired": 1, "overflow": 1}
    assert counted(hub).resets["restarted"] == 0


@pytest.mark.parametrize(
    ("how", "fate"), [("send", Fate.UNKNOWN), ("receive", Fate.HANDLED), ("return", Fate.HANDLED)]
)
async def test_handler_that_cannot_send_has_not_handled(how: str, fate: Fate) -> None:
    """RES-2: its session was reset while it was at its message, and its reply is not delivered."""
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        await hub.group("all").add(channel)
        await channel.receive()
        working.set()
        await go_on.wait()
        if how != "return":
            await (channel.send("reply") if how == "send" else channel.receive())

    hub = Hub(work, limits=Limits(window_messages=2))
    async with drive(hub) as page:
        number = await page.send("x")
        await working.wait()
        page.cut()
        for _ in range(3):
            await hub.group("all").send("more than fits")
        go_on.set()
        await asyncio.sleep(1)
        assert not await page.resume()
        with pytest.raises(SessionReset):
            await page.receive()
        if fate is Fate.HANDLED:
            await page.acknowledged(number)
            return
        with pytest.raises(Unacknowledged) as lost:
            await page.acknowledged(number)
        assert lost.value.fate is fate
