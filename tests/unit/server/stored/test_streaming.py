"""A handler that sends much for one message: when that is shown, and where the next one goes on."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.server.stored.conftest import each_transport, processes, until
from transport import Channel, ChannelClosed
from transport.testing import drive

FIRST_WITHIN = 0.03
"""Seconds until the first token is shown: `Limits.step`, and the way to the store."""


async def stream(channel: Channel) -> None:
    """Send 20 tokens for each message, one each 50 ms, behind those that were sent before."""
    async for message in channel:
        for index in range(channel.partial, 20):
            await channel.send(f"{message}{index}")
            await asyncio.sleep(0.05)


@each_transport
async def test_first_token_is_shown_soon(transport: str) -> None:
    async with processes(stream) as each, drive(each.cluster, transport=transport) as page:
        await page.send("a")
        assert await page.receive(within=FIRST_WITHIN) == "a0"


@pytest.mark.parametrize("kills", [1, 2])
async def test_stream_goes_on_where_it_was_stored(kills: int) -> None:
    async with processes(stream, 3) as each, drive(each.cluster) as page:
        await page.send("a")
        await page.send("b")
        received = []
        for kill in range(kills):
            received += [await page.receive() for _ in range(5)]
            each.cluster.kill(each.home)
            await until(lambda kill=kill: len(each.resumed) == kill + 2)  # type: ignore[misc]
        while len(received) < 40:
            received.append(await page.receive(within=60))
        assert received == [f"{one}{index}" for one in "ab" for index in range(20)]


async def test_messages_of_others_in_between_are_not_counted() -> None:
    async with processes(stream) as each, drive(each.cluster) as page:
        await page.send("a")
        received = []
        for number in range(8):
            received.append(await page.receive())
            if number in (1, 4):
                [runner] = each.runners(each.home)
                assert runner.driver.try_send('"news"', 6)
        each.cluster.kill(each.home)
        while received[-1] != "a19":
            received.append(await page.receive(within=60))
        assert received.count("news") == 2
        assert [one for one in received if one != "news"] == [f"a{index}" for index in range(20)]


async def test_partial_is_zero_for_the_messages_behind() -> None:
    partials: list[int] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            partials.append(channel.partial)
            for index in range(channel.partial, 3):
                await channel.send(f"{message}{index}")
                if not channel.resumed and index == 1:
                    await channel.flush()
                    await asyncio.sleep(1000)
            if channel.resumed:
                partials.append(channel.partial)

    async with processes(handle) as each, drive(each.cluster) as page:
        await page.send("a")
        assert [await page.receive() for _ in range(2)] == ["a0", "a1"]
        each.cluster.kill(each.home)
        await page.send("b")
        received = [await page.receive(within=60) for _ in range(4)]
        assert received == ["a2", "b0", "b1", "b2"]
        assert partials == [0, 2, 2, 0, 0]


async def test_flush_waits_for_the_store() -> None:
    flushed: list[str] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            await channel.send(message)
            await channel.flush()
            flushed.append(str(message))

    async with processes(handle) as each, drive(each.cluster) as page:
        await page.send("a")
        await until(lambda: flushed == ["a"])
        each.store.pause()
        await page.send("b")
        await asyncio.sleep(2.0)
        assert flushed == ["a"]
        each.store.resume()
        await until(lambda: flushed == ["a", "b"])


async def test_flush_raises_if_another_process_has_the_session() -> None:
    failed: list[int] = []

    async def handle(channel: Channel) -> None:
        async for message in channel:
            try:
                await channel.send(message)
                await channel.flush()
            except ChannelClosed as error:
                failed.append(error.code)
                raise

    async with processes(handle) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        async with drive(each.cluster) as page:
            each.store.delay = 0.5
            await page.send("a")
            await until(lambda: bool(each.store.data.sessions) and bool(each.runners(0)))
            await asyncio.sleep(0.1)
            each.cluster.stop(0)
            each.store.delay = 0.0
            each.go_to(1)
            page.cut()
            assert await page.resume(within=60)
            each.cluster.go_on(0)
            assert await page.receive(within=60) == "a"
            await asyncio.sleep(5.0)
            assert set(failed) <= {1012}


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.02])
async def test_quick_messages_are_stored_whole_one_after_the_other(delay: float) -> None:
    """The time of a message is its own: it does not begin with the one before it."""

    async def handle(channel: Channel) -> None:
        async for _ in channel:
            await channel.send("a")
            await asyncio.sleep(0.006)
            await channel.send("b")

    async with processes(handle) as each, drive(each.cluster) as page:
        assert page.id is not None
        each.store.delay = delay
        for number in range(10):
            await page.send(number)
        for _ in range(300):
            await asyncio.sleep(0.001)
            image = each.store.image(page.id)
            assert image is not None
            assert image.partial == 0
        assert [await page.receive() for _ in range(20)] == ["a", "b"] * 10


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.007, 0.02])
async def test_quick_message_after_a_slow_one_is_stored_whole(delay: float) -> None:
    """Only every other message takes longer than `Limits.step`."""

    async def handle(channel: Channel) -> None:
        async for number in channel:
            await channel.send("a")
            await asyncio.sleep(0.006 if int(str(number)) % 2 else 0.014)
            await channel.send("b")

    async with processes(handle) as each, drive(each.cluster) as page:
        assert page.id is not None
        each.store.delay = delay
        for number in range(12):
            await page.send(number)
        for _ in range(600):
            await asyncio.sleep(0.001)
            image = each.store.image(page.id)
            assert image is not None
            assert image.partial == 0 or image.handled % 2 == 0, image
        assert [await page.receive() for _ in range(24)] == ["a", "b"] * 12
