"""A library's page in Chromium, and a proxy that cuts its connections.

async with stage.page("sse") as page:
    async with page.cuts(every=1000):
        seen = await page.run("() => stream(60)")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from playwright.async_api import Browser

from tests.support.browsers.chromium import DEADLINE, Tab, tab
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server

NATIVE = "native"
"""The browser's own `WebSocket` and the endpoint without a hub: what the library does by itself."""
TRANSPORTS = (NATIVE, "websocket", "sse", "longpoll")
CUTS = 3


@dataclass(frozen=True, slots=True)
class Page:
    """A page whose library uses one transport.

    Attributes:
        transport: one of `TRANSPORTS`.
        proxy: what its connections pass.
    """

    tab: Tab
    transport: str
    proxy: FaultProxy

    async def run(self, script: str, argument: object = None) -> Any:
        """Call a function in the page, and return its result."""
        return await self.tab.run(script, argument)

    async def wait(self, condition: str, argument: object = None) -> None:
        """Wait until an expression is true in the page."""
        await self.tab.wait(condition, argument)

    @asynccontextmanager
    async def cuts(self, *, every: int) -> AsyncIterator[None]:
        """Cut all connections three times while the block runs, unless the page is native.

        Args:
            every: the bytes of the downlink between two cuts. More than an opening takes, about
                1000, because a socket that is cut before it was open fails, as any does. Three
                times as many must pass in the block, or it fails: then not all cuts would have
                been in the middle of traffic.
        """
        count = 0 if self.transport == NATIVE else CUTS
        before = self.proxy.statistics.cuts
        for _ in range(count):
            self.proxy.cut_after(every, direction="down", every=True)
        try:
            yield
            assert self.proxy.statistics.cuts - before == count, "the traffic ended before the cuts"
        finally:
            self.proxy.heal()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Cut all connections, and let none in while the block runs, unless the page is native.

        The block begins when the page has tried to connect again.
        """
        if self.transport == NATIVE:
            yield
            return
        refused = self.proxy.statistics.refused
        self.proxy.refuse = True
        try:
            assert self.proxy.cut()
            await self.proxy.wait_for_refusals(refused + 1)
            yield
        finally:
            self.proxy.heal()


@dataclass(frozen=True, slots=True)
class Stage:
    """A browser, and the site of a library.

    Attributes:
        library: the name of its folder.
        server: serves its site.
        proxy: is between both.
    """

    library: str
    browser: Browser
    server: Server
    proxy: FaultProxy

    @asynccontextmanager
    async def page(self, transport: str, rest: str = "") -> AsyncIterator[Page]:
        """Open the page with a transport. At the end, check that it had no errors.

        Args:
            transport: one of `TRANSPORTS`.
            rest: what else its URL has, such as ``#room``.
        """
        path = f"page/{self.library}?transport={transport}{rest}"
        async with tab(self.browser, f"http://127.0.0.1:{self.proxy.port}/{path}") as shown:
            yield Page(shown, transport, self.proxy)

    async def seen(self) -> list[Any]:
        """Return what the endpoint has noted, over all pages."""
        async with httpx.AsyncClient(base_url=self.server.url, trust_env=False) as client:
            answer = await client.get("/seen")
        found: list[Any] = answer.raise_for_status().json()
        return found

    async def until_seen(self, *due: object) -> None:
        """Wait until the endpoint has noted each of these."""
        seen: list[Any] = []
        with anyio.move_on_after(DEADLINE):
            while not all(one in seen for one in due):
                seen = await self.seen()
                await anyio.sleep(0.02)
            return
        raise AssertionError(f"the endpoint has noted {seen}")
