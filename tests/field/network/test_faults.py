"""A real page over a real network that fails in ways that a proxy on loopback cannot imitate.

Chromium and the server run on separate machines, made of network namespaces, with a cable between
them that the test controls (`tests.support.faults.namespaces`,
`tests.support.faults.packet_loss`). Three pages talk continuously, each over its own transport,
with numbered messages in both directions. After each fault every message has arrived, once and in
order; the test prints how long that took.

The tests need root, Linux and the program `ip`. If one of these is missing they do not run, and the
summary says so. `make test` runs two of the faults, with heartbeats of a second; with
``MATRIX=full`` all of them run, with the default heartbeats.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import anyio
import pytest

from tests.browser.pages import TRANSPORTS
from tests.support.browsers.chromium import Tab, tab
from tests.support.faults.namespaces import (
    NOT_RUN,
    Network,
    chromium_in,
    network,
    server_in,
    why_not,
)
from tests.support.figures import tell

FULL = os.environ.get("MATRIX") == "full"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
long = pytest.mark.skipif(not FULL, reason="takes minutes: MATRIX=full")

DEADLINE = 120.0
"""Seconds that a test waits for a condition. The times themselves are printed, not asserted."""
EVERY = 0.2
"""Seconds between two messages of a page, in each direction."""

T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    if reason := why_not():
        pytest.skip(f"{NOT_RUN}: {reason}")


@dataclass(frozen=True, slots=True)
class Talks:
    """The pages, by transport, and their network."""

    net: Network
    pages: dict[str, Tab]

    async def each(self, ask: Callable[[Tab], Awaitable[T]]) -> dict[str, T]:
        """Query all pages at the same time."""
        answers: dict[str, T] = {}

        async def one(name: str, page: Tab) -> None:
            answers[name] = await ask(page)

        async with anyio.create_task_group() as tasks:
            for name, page in self.pages.items():
                tasks.start_soon(one, name, page)
        return answers

    async def check_all_arrived(self) -> dict[str, float]:
        """Check that everything sent so far arrives once and in order, in both directions.

        Returns:
            The seconds that it took, by transport.
        """

        async def ask(page: Tab) -> float:
            started = time.monotonic()
            [found] = await page.run("() => askAll()", timeout=DEADLINE)
            assert found["wrong"] == []
            for kind in ("reset", "close"):
                assert await page.run("(kind) => countOf(kind)", kind) == [0], kind
            return time.monotonic() - started

        return await self.each(ask)

    async def until_noticed(self) -> dict[str, float]:
        """Wait until every page has noticed that it is disconnected.

        Returns:
            The seconds that it took, by transport.
        """

        async def ask(page: Tab) -> float:
            started = time.monotonic()
            await page.wait("talks[0].channel.state === 'recovering'", timeout=DEADLINE)
            return time.monotonic() - started

        return await self.each(ask)

    async def count(self, kind: str) -> dict[str, int]:
        """Return how often each page had this event."""

        async def ask(page: Tab) -> int:
            [count] = await page.run("(kind) => countOf(kind)", kind)
            return int(count)

        return await self.each(ask)


@asynccontextmanager
async def talks() -> AsyncIterator[Talks]:
    """Open three pages that talk over a network without faults."""
    app = "tests.support.conversation:app" if FULL else "tests.support.conversation:brisk"
    async with (
        network() as net,
        server_in(net, app) as url,
        chromium_in(net) as browser,
        AsyncExitStack() as stack,
    ):
        pages = {name: await stack.enter_async_context(tab(browser, url)) for name in TRANSPORTS}
        for name, page in pages.items():
            await page.run("([every, name]) => startTalks(every, [name])", [EVERY, name])
            await page.wait("talks[0].received > 3 && talks[0].sent > 3")
        network_talks = Talks(net, pages)
        await network_talks.check_all_arrived()
        yield network_talks


async def test_pages_survive_lost_and_late_packets() -> None:
    """5% of packets are lost and all are 300 ms late: slow, but no reason to reconnect."""
    async with talks() as pages:
        cable = pages.net.cable
        cable.loss, cable.delay = 0.05, 0.3
        slow = []
        for attempt in range(30 if FULL else 3):
            slow.append(await pages.check_all_arrived())
            if attempt == 1:
                assert await pages.count("recovering") == dict.fromkeys(TRANSPORTS, 0)
                # They come back over the same network.
                await pages.each(lambda page: page.run("() => talks[0].channel.reconnect()"))
        assert await pages.count("recovering") == dict.fromkeys(TRANSPORTS, 1)
        assert cable.packets.lost > 0
        cable.heal()
        back = await pages.check_all_arrived()
        most = {name: max(one[name] for one in slow) for name in TRANSPORTS}
        tell("5 % loss, 300 ms", slowest=most, back=back, packets=cable.packets)


async def test_pages_notice_silent_network() -> None:
    """Nothing passes, without any notice: each page detects the silence and returns afterwards."""
    async with talks() as pages:
        pages.net.cable.silent = True
        noticed = await pages.until_noticed()
        pages.net.cable.heal()
        tell("half-open", noticed=noticed, back=await pages.check_all_arrived())


@long
async def test_pages_notice_connections_forgotten_by_nat() -> None:
    """A NAT gave the client another address: new connections pass, all old ones are dead."""
    async with talks() as pages:
        pages.net.cable.forget()
        started = time.monotonic()
        noticed = await pages.until_noticed()
        back = await pages.check_all_arrived()
        tell("forgotten", noticed=noticed, back=back, seconds=time.monotonic() - started)


@long
async def test_pages_survive_change_of_address() -> None:
    """The client's machine suddenly is in another network, and notices."""
    async with talks() as pages:
        await pages.net.change_address("192.0.2.3")
        tell("another address", back=await pages.check_all_arrived())
        await pages.net.change_address("192.0.2.4")
        tell("another address", back=await pages.check_all_arrived())


@long
@pytest.mark.parametrize("seconds", [10, 90])
async def test_pages_survive_unplugged_cable(seconds: float) -> None:
    """The client's machine notices, as when a cable is unplugged."""
    async with talks() as pages:
        await pages.net.unplug()
        await anyio.sleep(seconds)  # the outage is the subject
        await pages.net.plug_in()
        tell(f"link down for {seconds} s", back=await pages.check_all_arrived())


@long
@pytest.mark.parametrize("seconds", [10, 90])
async def test_pages_survive_silent_link_further_on(seconds: float) -> None:
    """Neither machine notices."""
    async with talks() as pages:
        pages.net.cable.silent = True
        await anyio.sleep(seconds)  # the outage is the subject
        pages.net.cable.heal()
        back = await pages.check_all_arrived()
        tell(f"further link down for {seconds} s", back=back)
