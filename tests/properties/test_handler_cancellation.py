"""Cancellation at every await of the application's own waits; the network is not cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.properties.cancellation import LIMITS, TRANSPORTS, Watched, runs
from tests.support.counted import counted
from transport import Channel, ChannelClosed, Hub, Limits
from transport.testing import drive


def at_every_await(
    work: Callable[[Callable[[Awaitable[Any]], Awaitable[bool]]], Awaitable[None]],
) -> int:
    """Repeat ``work`` until every await of what it runs was cancelled. Return their number.

    The argument of ``work`` is a function that awaits an awaitable, cancels it natively or by a
    cancel scope when its turn comes, and returns whether it was cancelled.
    """

    async def once(at: int, *, level: bool) -> bool:
        count = 0

        async def run(inner: Awaitable[Any]) -> bool:
            nonlocal count
            cancel: Callable[[], object] = lambda: None  # noqa: E731 - set below

            def point() -> None:
                nonlocal count
                count += 1
                if count == at:
                    cancel()

            if level:
                with anyio.CancelScope() as scope:
                    cancel = scope.cancel
                    await Watched(inner, lambda _: point())
                return scope.cancelled_caught
            task = asyncio.ensure_future(Watched(inner, lambda _: point()))
            cancel = task.cancel
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
            return task.cancelled()

        await work(run)
        return count >= at

    waits = 0
    for level in (False, True):
        for at, reached in runs(partial(once, level=level)):
            if not reached:
                waits = at - 1
                break
    return waits


Run = Callable[[Awaitable[Any]], Awaitable[bool]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cancelled_handler_waits_have_no_effect(transport: str) -> None:
    """A cancelled `receive`, `send` or `acknowledged` loses no message and leaves no waiter."""

    async def work(run: Run) -> None:
        got: list[Any] = []

        async def handler(channel: Channel) -> None:
            async def receive() -> None:
                got.append(await channel.receive())

            for _ in range(3):
                while await run(receive()):
                    pass
            numbers = []

            async def send(message: str) -> None:
                numbers.append(await channel.send(message))

            for message in ("x", "y", "z"):
                while await run(send(message)):
                    pass
                while await run(channel.acknowledged(numbers[-1])):
                    pass
            assert numbers == [1, 2, 3]
            runner = channel._driver
            waiting: list[Any] = [*runner.window.senders, *runner.presence._waiters]
            assert waiting == []
            assert runner.reception.waiter is None

        hub = Hub(handler, limits=Limits(window_messages=1))
        async with drive(hub, transport=transport) as page:
            for message in ("a", "b", "c"):
                await page.send(message)
            assert [await page.receive() for _ in range(3)] == ["x", "y", "z"]
            with pytest.raises(ChannelClosed) as caught:
                await page.receive()
        assert caught.value.code == 1000
        assert got == ["a", "b", "c"]

    assert at_every_await(work) >= 3


def test_cancelled_drain_may_be_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """DRN-1: a cancelled drain may be repeated, and then ends like an uninterrupted one."""
    ended: list[str] = []

    async def handler(channel: Channel) -> None:
        try:
            async for _ in channel:
                pass
            await asyncio.sleep(1)  # shorter than the grace
        finally:
            ended.append(channel.id)

    async def work(run: Run) -> None:
        ended.clear()
        hub = Hub(handler, limits=LIMITS)
        async with drive(hub) as one, drive(hub, transport="sse") as two:
            while await run(hub.drain()):
                assert counted(hub).connections == dict.fromkeys(TRANSPORTS, 0)
            assert sorted(ended) == sorted([str(one.id), str(two.id)])

    assert at_every_await(work) >= 1
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_cancelled_lifespan_leaves_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """The drain of the lifespan is interrupted: handlers are cancelled and timers released."""

    async def deaf(channel: Channel) -> None:
        await asyncio.Event().wait()

    async def work(run: Run) -> None:
        hub = Hub(deaf, limits=LIMITS)

        async def serve() -> None:
            async with hub.lifespan(), drive(hub):
                pass

        await run(serve())
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(20)
        loop: Any = asyncio.get_running_loop()
        assert not [one for one in loop._scheduled if not one.cancelled()]

    assert at_every_await(work) >= 3
    expected = "handler_cancelled"
    assert all(expected in one.getMessage() for one in caplog.records)
