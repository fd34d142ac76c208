"""Chromium pages with their own server, and the reports of the server's handlers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Browser

from tests.support.browsers.chromium import DEADLINE, AnyTab, Tab, tab
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving

TRANSPORTS = ["websocket", "sse", "longpoll"]
FULL = os.environ.get("MATRIX") == "full"
"""Whether to run the full forms of the tests, as `make matrix` does."""

only_in_full_matrix = pytest.mark.skipif(not FULL, reason="covered by a shorter test: MATRIX=full")


def apps(name: str) -> Any:
    return serving(f"tests.support.apps:{name}", "--no-access-log")


async def report(server: Server) -> dict[str, Any]:
    """Return the report of the handlers, fetched without the proxy."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{server.url}/report")
        found: dict[str, Any] = answer.json()
        return found


async def until_report(server: Server, condition: Any, timeout: float = DEADLINE) -> dict[str, Any]:
    """Poll the report until it meets the condition. Return it."""
    return await _until(lambda: report(server), condition, timeout)


async def _until(
    look: Callable[[], Awaitable[dict[str, Any]]], condition: Any, timeout: float
) -> dict[str, Any]:
    last: dict[str, Any] = {}
    with anyio.move_on_after(timeout):
        while True:
            last = await look()
            if condition(last):
                return last
            await anyio.sleep(0.02)
    raise AssertionError(f"the server's report stayed {last}")


class Service:
    """A server that the tests of a module share, and what its handlers have seen in this test.

    Attributes:
        url, port: the address of the server.
    """

    def __init__(self, server: Server, before: dict[str, Any]) -> None:
        self.server = server
        self.url = server.url
        self.port = server.port
        self._before = before

    async def report(self) -> dict[str, Any]:
        """Return the counts, errors and messages since the test began."""
        now, before = await report(self.server), self._before
        return {
            "started": now["started"] - before["started"],
            "received": now["received"] - before["received"],
            "wrong": now["wrong"][len(before["wrong"]) :],
            "messages": now["messages"][len(before["messages"]) :],
        }

    async def until(self, condition: Any, timeout: float = DEADLINE) -> dict[str, Any]:
        """Poll the report since the test began until it meets the condition. Return it."""
        return await _until(self.report, condition, timeout)

    async def until_received(self, messages: list[Any]) -> None:
        """Wait until the handlers have received exactly these messages."""
        await self.until(lambda seen: seen["messages"] == messages)


async def release(server: Server) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{server.url}/release")).raise_for_status()


@asynccontextmanager
async def page_behind_proxy(
    browser: Browser, app: str, *, seed: int = 0
) -> AsyncIterator[tuple[Server, FaultProxy, Tab]]:
    """Serve ``app`` of `tests.support.apps`, and load its page through a `FaultProxy`."""
    async with (
        apps(app) as server,
        FaultProxy(server.port, seed=seed) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        yield server, proxy, page


async def start(page: AnyTab, transport: str) -> None:
    """Open the page's channel over this transport only."""
    await page.run("(transport) => void start({transports: [transport]})", transport)


async def talk(page: AnyTab, options: dict[str, Any] | None = None) -> None:
    """Open a channel, send a message and wait for its echo. Print the time that it took."""
    seconds = await page.run(
        """async (options) => {
            const begun = performance.now();
            start(options);
            await channel.send("first");
            if (!seen.length)
                await new Promise((resolve) => channel.addEventListener("message", resolve));
            return (performance.now() - begun) / 1000;
        }""",
        options or {},
    )
    print(f"\n{seconds:.2f} s")  # noqa: T201 - the figure is the point


async def talk_at_once(page: AnyTab) -> None:
    """Do the same with attempts that would time out only after the test has failed.

    Success proves that no transport waited for the timeout of the previous one.
    """
    await talk(page, {"openTimeout": 300})
