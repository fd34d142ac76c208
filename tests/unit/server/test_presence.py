"""What a handler learns of its client's coming and going, and of the end of its channel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from transport import Channel, ChannelClosed, Hub, Limits, NotRead, SessionReset
from transport.server.presence import RECEIVER_TIMEOUT
from transport.testing import Page, drive, until

each_transport = pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])


async def waits(channel: Channel) -> None:
    await channel.wait_closed()


class Log:
    """A handler that logs what it waits for, with the seconds since the log was made."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.seen: list[tuple[str, float]] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def __call__(self, channel: Channel) -> None:
        for name in self.names:
            wait: Callable[[], Awaitable[None]] = getattr(channel, f"wait_{name}")
            await wait()
            self.seen.append((name, round(self._loop.time() - self._began, 1)))


# Connected, disconnected


@each_transport
async def test_handler_learns_of_cut_and_resume(transport: str) -> None:
    log = Log("connected", "disconnected", "connected", "closed")
    # Nothing shows that a poll is missing until the next one should have come.
    late = 70 if transport == "longpoll" else 0
    async with drive(Hub(log), transport=transport) as page:
        await asyncio.sleep(5)
        page.cut()
        await asyncio.sleep(5 + late)
        assert await page.resume()
        await asyncio.sleep(5)
        await page.close()
    assert [name for name, _ in log.seen] == ["connected", "disconnected", "connected", "closed"]
    times = [time for _, time in log.seen]
    assert times[0] == 0
    assert 5 <= times[1] <= 5 + late
    assert times[2:] == pytest.approx([10 + late, 15 + late], abs=0.5)


async def test_short_absence_is_noticed() -> None:
    """It may be over before the waiting task runs."""
    channels: list[Channel] = []

    async def keeps(channel: Channel) -> None:
        channels.append(channel)
        await channel.wait_closed()

    async with drive(Hub(keeps)) as page:
        waiting = asyncio.create_task(channels[0].wait_disconnected())
        await asyncio.sleep(0)
        page.cut()
        await page.resume()
        async with asyncio.timeout(5):
            await waiting


async def test_wait_for_client_of_closed_channel_fails() -> None:
    errors: list[ChannelClosed] = []

    async def handler(channel: Channel) -> None:
        await channel.close(3000)
        await channel.wait_disconnected()
        with pytest.raises(ChannelClosed) as caught:
            await channel.wait_connected()
        errors.append(caught.value)

    async with drive(Hub(handler)) as page:
        with pytest.raises(ChannelClosed):
            await page.receive()
        await until(lambda: bool(errors))
    assert errors[0].code == 3000


@each_transport
async def test_handler_of_presence_ends_with_its_channel(transport: str) -> None:
    """It waits for nothing else, and its client does not wait for it."""
    seen: list[str] = []

    async def presence(channel: Channel) -> None:
        while True:
            seen.append("here")
            await channel.wait_disconnected()
            seen.append("away")
            await channel.wait_connected()

    async with drive(Hub(presence), transport=transport) as page:
        await asyncio.sleep(1)
        await page.close()
    assert seen == ["here", "away"]


# A page that leaves


@each_transport
async def test_page_that_leaves_is_gone_at_once(transport: str) -> None:
    """LIV-6: its session ends after ``limits.away``, not ``limits.ttl``."""
    log = Log("disconnected", "closed")
    hub = Hub(log, limits=Limits(away=7))
    async with drive(hub, transport=transport) as page:
        await page.leave()
        await asyncio.sleep(6)
        assert not next(hub.channels).connected
        assert hub.statistics().sessions == 1
        await asyncio.sleep(2)
        assert hub.statistics().sessions == 0
        assert hub.statistics().resets == {"expired": 1}
    assert log.seen[0] == ("disconnected", 0.0)
    assert log.seen[1][1] == pytest.approx(7, abs=0.5)


@each_transport
async def test_page_that_returns_keeps_its_session(transport: str) -> None:
    """LIV-6: an ``open`` takes ``leave`` back."""
    hub = Hub(waits)
    async with drive(hub, transport=transport) as page:
        await page.leave()
        await asyncio.sleep(9)
        assert await page.resume()
        assert next(hub.channels).connected
        await asyncio.sleep(60)
        assert hub.statistics().sessions == 1


async def test_page_that_is_lost_waits_for_ttl() -> None:
    """LIV-3: only a page that says so is gone for good."""
    hub = Hub(waits)
    async with drive(hub) as page:
        page.cut()
        await asyncio.sleep(110)
        assert hub.statistics().sessions == 1


# The end of a channel


@each_transport
async def test_wait_ends_when_client_closes(transport: str) -> None:
    """CLS-2: what the handler still sends arrives."""

    async def handler(channel: Channel) -> None:
        await channel.wait_closed()
        await channel.send("bye")

    async with drive(Hub(handler), transport=transport) as page:
        closing = asyncio.create_task(page.close())
        assert await page.receive() == "bye"
        await closing


async def test_wait_ends_when_this_side_closes() -> None:
    """CLS-3."""
    ended: list[bool] = []

    async def handler(channel: Channel) -> None:
        asyncio.get_running_loop().call_later(3, lambda: asyncio.ensure_future(channel.close(3000)))
        await channel.wait_closed()
        await channel.wait_closed()
        ended.append(True)

    async with drive(Hub(handler)) as page:
        with pytest.raises(ChannelClosed, match="3000"):
            await page.receive()
        await until(lambda: ended == [True])


async def test_wait_ends_when_session_expires() -> None:
    log = Log("closed")
    async with drive(Hub(log, limits=Limits(ttl=70))) as page:
        page.cut()
        await asyncio.sleep(71)
    assert log.seen[0][1] == pytest.approx(70, abs=0.5)


async def test_wait_ends_when_server_drains() -> None:
    """DRN-1."""
    log = Log("closed")
    hub = Hub(log)
    async with hub.lifespan(), drive(hub):
        await asyncio.sleep(3)
        await hub.drain()
    assert log.seen == [("closed", 3.0)]


# Messages that nobody receives


@each_transport
async def test_message_that_nobody_receives_is_refused(transport: str) -> None:
    """DAT-7: whether it comes before the wait, at once, or later."""

    async def handler(channel: Channel) -> None:
        await asyncio.sleep(2)
        await channel.send("pushed")
        await channel.wait_closed()

    async with drive(Hub(handler), transport=transport) as page:
        early = [await page.send(number) for number in range(3)]
        assert await page.receive() == "pushed"
        for number in early:
            with pytest.raises(NotRead, match="does not receive"):
                await page.acknowledged(number, within=RECEIVER_TIMEOUT + 2)
        late = await page.send("late")
        with pytest.raises(NotRead):
            await page.acknowledged(late, within=1)
        await page.close()


@each_transport
async def test_refusal_survives_a_cut(transport: str) -> None:
    """DAT-7: the mark of ``opened`` asks for the messages again."""
    hub = Hub(waits)
    async with drive(hub, transport=transport) as page:
        sends = [await page.send(number) for number in range(3)]
        page.cut()
        await asyncio.sleep(5)
        assert await page.resume()
        for number in sends:
            with pytest.raises(NotRead):
                await page.acknowledged(number, within=5)
        await page.close()


async def test_more_messages_than_a_window_are_refused() -> None:
    """DAT-6, DAT-7: the ``skip`` of a refused message is handled, so it takes no room."""
    async with drive(Hub(waits, limits=Limits(window_messages=4))) as page:
        for number in range(20):
            with pytest.raises(NotRead):
                await page.acknowledged(await page.send(number), within=5)
        await page.close()


async def test_message_received_before_the_wait_is_handled() -> None:
    """MRK-2: who receives and then waits for the end has finished."""

    async def handler(channel: Channel) -> None:
        assert await channel.receive() == "hello"
        await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await page.acknowledged(await page.send("hello"), within=RECEIVER_TIMEOUT + 1)
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("more"), within=5)


async def receive_all(channel: Channel, into: list[Any], pause: float = 0.0) -> None:
    async for message in channel:
        into.append(message)
        await asyncio.sleep(pause)


async def accepted(page: Page, *messages: Any) -> None:
    """Send messages that the handler takes."""
    for message in messages:
        await page.acknowledged(await page.send(message), within=30)


async def test_task_of_handler_may_receive_while_it_waits() -> None:
    """It may begin a little later, and work for long."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive_all(channel, received, pause=5))
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await accepted(page, "a", "b", "c")
        await page.close()
    assert received == ["a", "b", "c"]


async def test_other_task_may_wait_while_handler_receives() -> None:
    """The handler's task is the one that receives, also before it first does."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.wait_closed())
            await asyncio.sleep(5)
            await receive_all(channel, received, pause=3)

    async with drive(Hub(handler)) as page:
        await accepted(page, "a", "b")
        await page.close()
    assert received == ["a", "b"]


async def test_messages_are_refused_once_receiver_has_ended() -> None:
    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.receive())
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        first = await page.send("a")
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("b"), within=5)
        await page.acknowledged(first, within=5)


async def test_messages_are_taken_again_once_a_task_receives() -> None:
    received: list[Any] = []
    begin = asyncio.Event()

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(channel.wait_closed())
            ended = tasks.create_task(asyncio.sleep(0))
            await asyncio.wait([waiting, ended], return_when=asyncio.FIRST_COMPLETED)
            tasks.create_task(later(channel))
            await channel.wait_closed()

    async def later(channel: Channel) -> None:
        await begin.wait()
        await receive_all(channel, received)

    async with drive(Hub(handler)) as page:
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("refused"), within=5)
        begin.set()
        await accepted(page, "taken")
        await page.close()
    assert received == ["taken"]


async def test_wait_that_is_repeated_refuses_too() -> None:
    """A handler may push in between."""

    async def handler(channel: Channel) -> None:
        for number in range(100):
            try:
                async with asyncio.timeout(0.4):
                    await channel.wait_closed()
                return
            except TimeoutError:
                await channel.send(number)

    async with drive(Hub(handler)) as page:
        await asyncio.sleep(2)
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("x"), within=5)
        await page.close()


async def test_cancelled_wait_takes_messages_again() -> None:
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        try:
            async with asyncio.timeout(5):
                await channel.wait_closed()
        except TimeoutError:
            await receive_all(channel, received)

    async with drive(Hub(handler)) as page:
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("refused"), within=4)
        await asyncio.sleep(5)
        await accepted(page, "taken")
        await page.close()
    assert received == ["taken"]


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


def test_other_words_for_on_error_are_refused() -> None:
    with pytest.raises(ValueError, match="on_error must be one of"):
        Hub(waits, on_error="retry")  # type: ignore[arg-type]


# What statistics count


async def test_each_reset_is_counted_by_reason_once() -> None:
    async def handler(channel: Channel) -> None:
        hub.group("all").add(channel)
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
    assert hub.statistics().resets == {"expired": 1, "overflow": 1}
    assert hub.statistics().resets["restarted"] == 0
