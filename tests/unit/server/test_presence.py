"""What a handler learns of its client's coming and going, and of the end of its channel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.counted import counted
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from transport import Channel, ChannelClosed, Hub, Limits
from transport.testing import drive, until

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
        assert counted(hub).sessions == 1
        await asyncio.sleep(2)
        assert counted(hub).sessions == 0
        assert counted(hub).resets == {"expired": 1}
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
        assert counted(hub).sessions == 1


async def test_page_that_is_lost_waits_for_ttl() -> None:
    """LIV-3: only a page that says so is gone for good."""
    hub = Hub(waits)
    async with drive(hub) as page:
        page.cut()
        await asyncio.sleep(110)
        assert counted(hub).sessions == 1


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
