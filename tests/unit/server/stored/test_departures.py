"""A process that is told to stop sends its clients away one by one, and serves the others.

`Runtime.depart` is called as by the server's signal; the server goes on for as long as it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.unit.server.stored.conftest import Processes, each_transport, processes, shout
from tests.unit.server.stored.test_deaths import tell
from transport.server.departure import CLIENTS_PER_SECOND
from transport.server.runtime import Runtime
from transport.stores.remote.times import Times
from transport.testing import Page, drive

PAGES = 50


def runtime_of(each: Processes, index: int) -> Runtime:
    runtime = each.hub(index)._lifecycle.current
    assert runtime is not None
    return runtime


@asynccontextmanager
async def crowded(transport: str) -> AsyncIterator[tuple[Processes, list[Page]]]:
    """Have two processes, and pages whose sessions are all in the first."""
    async with processes(shout) as each, AsyncExitStack() as stack:
        await asyncio.sleep(Times().grace)  # of a store that is new
        each.go_to(0)
        pages = [
            await stack.enter_async_context(drive(each.cluster, transport=transport))
            for _ in range(PAGES)
        ]
        for page in pages:
            await tell(page, "a")
        yield each, pages


@each_transport
async def test_sessions_move_in_turn_and_are_served_until_then(transport: str) -> None:
    async with crowded(transport) as (each, pages):
        each.go_to(1)
        seconds = runtime_of(each, 0).depart()
        assert seconds == PAGES / CLIENTS_PER_SECOND
        await asyncio.sleep(seconds / 2)
        moved, kept = len(each.runners(1)), len(each.runners(0))
        assert moved > 0
        assert kept > 0
        for page in pages[-5:]:
            await tell(page, "b")
        assert len(each.runners(0)) > 0
        await asyncio.sleep(seconds)
        for page in pages:
            await tell(page, "c")
        assert (len(each.runners(0)), len(each.runners(1))) == (0, PAGES)
        assert sum(each.resumed) == PAGES, "each session has moved once"


@each_transport
async def test_clients_of_other_homes_leave_in_turn(transport: str) -> None:
    async with crowded(transport) as (each, pages):
        each.go_to(1)  # an edge for all of them
        for page in pages:
            page.cut()
            assert await page.resume()
            await tell(page, "b")
        edge = runtime_of(each, 1)
        assert edge._relay is not None
        before = len([*edge._relay.clients()])
        assert before >= PAGES
        each.go_to(0)
        seconds = edge.depart()
        assert seconds == before / CLIENTS_PER_SECOND
        await asyncio.sleep(seconds / 2)
        assert 0 < len([*edge._relay.clients()]) < before
        for page in pages:
            await tell(page, "c")
        await asyncio.sleep(seconds)
        assert [*edge._relay.clients()] == []
        for page in pages:
            await tell(page, "d")
        assert not any(each.resumed), "no session has moved"


async def test_server_that_stops_meanwhile_hurries_the_others() -> None:
    """As it does after a second signal."""
    async with crowded("sse") as (each, pages):
        each.go_to(1)
        runtime = runtime_of(each, 0)
        seconds = runtime.depart()
        await asyncio.sleep(seconds / 4)
        assert each.runners(0)
        await each.cluster.shut_down(0)
        for page in pages:
            await tell(page, "b")
        assert len(each.runners(1)) == PAGES
        assert sum(each.resumed) == PAGES
