"""How sessions end that several processes have had."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from tests.unit.server.stored.conftest import each_transport, processes, shout, until
from tests.unit.server.stored.test_deaths import tell
from transport import Channel, ChannelClosed, Identity, Limits, SessionReset
from transport.errors import Fate
from transport.testing import Page, drive

KNOWN_TRUE = {Fate.HANDLED, Fate.UNKNOWN}
"""What may be told of a message that a handler was given, and has finished with."""


async def anybody(_: object, credentials: object) -> Identity:
    return Identity("somebody")


def fates(page: Page) -> dict[int, Fate]:
    """Return the fates of what was not handled."""
    refused = page._driver.refused
    return {number: getattr(error, "fate", Fate.NOT_HANDLED) for number, error in refused.items()}


async def last_of(page: Page) -> ChannelClosed | SessionReset:
    """Receive until the session ends, and return how it has ended."""
    while True:
        try:
            await page.receive(within=60)
        except (ChannelClosed, SessionReset) as end:
            return end


@each_transport
async def test_shutdowns_lose_and_repeat_nothing(transport: str) -> None:
    handled: list[str] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            handled.append(str(message))
            await channel.send(str(message).upper())

    async with processes(handle) as each, drive(each.cluster, transport=transport) as page:
        for number in range(40):
            await page.send(f"m{number}")
            if number % 10 == 5:
                await each.cluster.start()
                await until(lambda: each.has_home)
                await each.cluster.shut_down(each.home)
        assert [await page.receive(within=60) for _ in range(40)] == [f"M{n}" for n in range(40)]
        assert handled == [f"m{number}" for number in range(40)]
        assert each.resumed == [False, True, True, True, True]


async def test_idle_session_is_moved_ten_times() -> None:
    async with processes() as each, drive(each.cluster) as page:
        await tell(page, "a")
        for _ in range(10):
            await each.cluster.start()
            each.cluster.kill(each.home)
            await until(lambda: each.has_home and page.connected)
        await tell(page, "b")
        assert len(each.resumed) == 11


async def test_message_that_kills_processes_ends_its_session() -> None:
    given: list[str] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            given.append(str(message))
            await channel.send(str(message).upper())
            if message == "deadly":
                await asyncio.sleep(1000)

    async with processes(handle, 6) as each, drive(each.cluster) as page:
        await tell(page, "a")
        await page.send("deadly")
        for count in range(1, 7):
            is_given = partial(lambda count: given.count("deadly") == count, count)
            await until(lambda: page._driver.closed is not None or is_given())  # noqa: B023
            if page._driver.closed is not None:
                break
            each.cluster.kill(each.home)
        end = await last_of(page)
        assert isinstance(end, ChannelClosed)
        assert end.code == 1011
        assert 2 <= given.count("deadly") <= 4
        assert fates(page) == {2: Fate.UNKNOWN}


@pytest.mark.parametrize("end", ["dismissal", "close", "overflow"])
async def test_end_after_a_kill_tells_no_lie_of_what_was_given(end: str) -> None:
    """The killed home was given what no store knows: whether it was handled is unknown."""
    given: list[str] = []

    async def handle(channel: Channel) -> None:
        if channel.resumed and end == "close":
            await channel.close(4001)
            return
        if channel.resumed:
            await channel.wait_closed()
            return
        async for message in channel:
            given.append(str(message))
            if message == "d":
                await asyncio.sleep(1000)

    limits = Limits(window_messages=16)
    async with processes(handle, limits=limits, authenticate=anybody) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster) as page:
            await page.send("a")
            await asyncio.sleep(1.0)
            each.store.pause()
            for message in ("b", "c", "d", "e"):
                await page.send(message)
            await until(lambda: given == ["a", "b", "c", "d"])
            page.cut()
            each.cluster.kill(0)
            each.store.resume()
            each.go_to(1)
            with suppress(ChannelClosed):
                await page.resume(within=60)
            if end == "dismissal":
                await each.hub(1).close_user("somebody")
            elif end == "overflow":
                for runner in each.runners(1) * 40:
                    runner.driver.try_send('"x"', 3)
            await last_of(page)
            told = fates(page)
            # The store may have taken that 2 or 3 was handled just before the kill.
            assert {told.get(number, Fate.HANDLED) for number in (2, 3)} <= KNOWN_TRUE, told
            assert told[4] is Fate.UNKNOWN, told


@each_transport
async def test_close_in_its_closing_phase_survives_a_kill(transport: str) -> None:
    """The client has left before it has read the last message."""

    async def bye(channel: Channel) -> None:
        await channel.receive()
        await channel.wait_disconnected()
        await channel.send("last")
        await channel.close(4001, "bye")

    async with processes(bye) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster, transport=transport) as page:
            await page.send("x")
            await asyncio.sleep(1.0)
            page.cut()
            assert page.id is not None
            name = page.id
            await until(lambda: getattr(each.store.image(name), "closing", b""))
            each.cluster.kill(0)
            each.go_to(1)
            await page.resume(within=60)
            assert await page.receive(within=10) == "last"
            with pytest.raises(ChannelClosed) as closed:
                await page.receive(within=10)
            assert (closed.value.code, closed.value.reason) == (4001, "bye")
            assert each.resumed == [False]


async def test_handler_that_has_lost_its_session_sends_nothing() -> None:
    """The handler of the process that has lost a session cannot send for it any more."""
    failed: list[int] = []

    async def handle(channel: Channel) -> None:
        if not channel.resumed:
            try:
                await asyncio.sleep(1000)
            finally:
                try:
                    await channel.send("of the zombie")
                except ChannelClosed as error:
                    failed.append(error.code)
        await shout(channel)

    async with processes(handle) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster) as page:
            each.cluster.stop(0)
            each.go_to(1)
            page.cut()
            assert await page.resume(within=60)
            each.cluster.go_on(0)
            await tell(page, "a")
            await until(lambda: failed)
            assert failed == [1012]
            await tell(page, "b")
