"""A store and a bus that do not answer for seconds: no connection is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.unit.server.stored.conftest import Processes, each_transport, processes
from tests.unit.server.stored.test_deaths import tell
from transport.testing import Page, drive


class Watched:
    """The processes, as clients reach them.

    Attributes:
        opened: how many connections were opened.
        errors: what was refused.
        empty: how many polls were answered without a frame.
    """

    def __init__(self, each: Processes) -> None:
        self.opened = 0
        self.errors: list[str] = []
        self.empty = 0
        self._each = each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            body = message.get("body") or message.get("text") or b""
            text = body if isinstance(body, str) else body.decode()
            self.opened += '"type":"opened"' in text
            self.empty += scope["path"] == "/poll" and message["type"].endswith("body") and not text
            if '"type":"error"' in text:
                self.errors.append(text)
            await send(message)

        await self._each.cluster(scope, receive, watch)


@asynccontextmanager
async def stalled(each: Processes) -> AsyncIterator[None]:
    """Let nothing pass to the store, and between the processes, while the block runs."""
    each.store.pause()
    each.cluster.is_stalled = True
    yield
    each.cluster.is_stalled = False
    each.store.resume()


@asynccontextmanager
async def at_edge(each: Processes, transport: str) -> AsyncIterator[tuple[Page, Watched]]:
    """Let one process have a session, and another one its connection."""
    await asyncio.sleep(20)
    each.go_to(0)
    watched = Watched(each)
    async with drive(watched, transport=transport) as page:
        await tell(page, "first")
        each.go_to(1)
        page.cut()
        assert await page.resume()
        await tell(page, "second")
        assert each.home == 0
        watched.opened = watched.empty = 0
        watched.errors.clear()
        yield page, watched
        await tell(page, "last")
        assert (watched.opened, watched.errors) == (0, [])


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_post_at_an_edge_waits_for_a_stalled_bus(transport: str, is_known: bool) -> None:
    """Also a POST that reaches a process which has never heard of the session."""
    async with processes() as each:
        await asyncio.sleep(20)
        each.go_to(0)
        watched = Watched(each)
        async with drive(watched, transport=transport) as page:
            await tell(page, "first")
            each.go_to(1)
            if is_known:
                await tell(page, "a")
            async with stalled(each):
                await page.send("b")
                await asyncio.sleep(9.0)
            assert await page.receive(within=30.0) == "B"
            await tell(page, "c")
            assert (watched.opened, watched.errors) == (1, [])


async def test_poll_at_an_edge_ends_empty_at_its_hold() -> None:
    """What the home answers it then is not lost: the next poll starts from the client's mark."""
    async with processes() as each, at_edge(each, "longpoll") as (page, watched):
        [runner] = each.runners(0)
        await asyncio.sleep(14.0)
        async with stalled(each):
            await asyncio.sleep(2.0)
            await runner.channel.send("sent meanwhile")
            await asyncio.sleep(10.0)
            assert watched.empty == 1
        assert await page.receive(within=30.0) == "sent meanwhile"


@each_transport
async def test_link_at_an_edge_outlives_a_stall(transport: str) -> None:
    async with processes() as each, at_edge(each, transport) as (page, _):
        async with stalled(each):
            await page.send("b")
            await asyncio.sleep(9.0)
        assert await page.receive(within=30.0) == "B"
