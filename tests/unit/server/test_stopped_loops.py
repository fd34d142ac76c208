"""What is left of a hub in an event loop that was stopped, or closed, with live sessions."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from transport import Channel, Hub
from transport.testing import Page


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def opened_page(hub: Hub) -> Page:
    page = Page(hub)
    await page.resume()
    return page


def test_calls_after_loop_was_stopped_reach_nobody() -> None:
    """A later loop has no request yet, and the loop before it was not closed."""
    hub = Hub(echo)
    old = asyncio.new_event_loop()
    page = old.run_until_complete(opened_page(hub))

    async def calls() -> list[object]:
        await hub.drain()
        await hub.broadcast("x")
        await hub.group("lobby").send("x")
        await hub.close_user("nobody")
        return [await hub.send_to("nobody", "x"), (await hub.statistics()).sessions]

    try:
        assert asyncio.run(calls()) == [False, 0]
    finally:
        old.run_until_complete(page.stop())
        pending = asyncio.all_tasks(old)
        for task in pending:
            task.cancel()
        old.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        old.close()


def test_loop_closed_with_live_session_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its handler is thrown away by the garbage collector, and nothing of its hub runs then."""

    def serve() -> None:
        hub = Hub(echo)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # asyncio complains of the task itself
        page = loop.run_until_complete(opened_page(hub))
        loop.run_until_complete(page.stop())
        loop.close()

    ignored: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, ignored.append
    try:
        for _ in range(2):  # the second replaces what the process keeps of the first
            serve()
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert ignored == []
    assert "handler_failed" not in caplog.text
