"""The life of a page: what its channel makes of sleep, of networks that change, and of its end."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import Browser

from tests.browser.test_channel import TRANSPORTS, apps, report, until_report
from tests.kit.browser import tab
from tests.kit.faults import FaultProxy

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_dead_connection_is_found_out_as_the_page_wakes(
    browser: Browser, transport: str
) -> None:
    """By silence alone it would take 45 s."""
    async with (
        apps("echo") as server,
        FaultProxy(server.port) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await page.run("(transport) => void start({transports: [transport]})", transport)
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1 && posting === 0")
        proxy.stall()
        started = time.monotonic()
        await page.run("() => { document.dispatchEvent(new Event('visibilitychange')); }")
        await page.wait("channel.state === 'recovering'")
        assert time.monotonic() - started < 4
        await page.run("() => { sendAndKeep('second'); }")
        proxy.cut()
        proxy.heal()
        await page.wait("fates.second === 'handled' && seen.length === 2")
        assert (await report(server))["messages"] == ["first", "second"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_one_that_stands_goes_on_without_a_gap(browser: Browser, transport: str) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        await page.run("(transport) => void start({transports: [transport]})", transport)
        await page.run("() => channel.send('first')")
        for count in range(2, 6):
            await page.run("() => { dispatchEvent(new Event('online')); }")
            await page.run("(count) => channel.send(count)", count)
            if transport != "websocket":
                # A new connection beside the old one took over.
                await page.wait(f"channel.statistics().attaches === {count}")
        kinds = await page.run("() => events.map(({type}) => type).filter((t) => t !== 'message')")
        assert kinds == ["transport", "open"]
        await page.wait("seen.length === 5")
        assert (await report(server))["messages"] == ["first", 2, 3, 4, 5]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_was_said_last_arrives_though_the_page_goes(
    browser: Browser, transport: str
) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        await page.run("(transport) => void start({transports: [transport]})", transport)
        await page.run("() => channel.send('first')")
        await page.run(
            """() => {
                // In a turn of its own: the page goes before it could answer.
                setTimeout(() => {
                    for (let i = 0; i < 20; i++) channel.send(i);
                    location.href = "/report";
                }, 0);
            }"""
        )
        expected = ["first", *range(20)]
        await until_report(server, lambda seen: seen["messages"] == expected)
        # Chromium was seen to hang where a page is closed in the middle of its going.
        await page.page.wait_for_url("**/report", timeout=10_000)


async def test_a_page_that_is_kept_comes_back(browser: Browser) -> None:
    """Hidden and shown as by the back/forward cache: nothing stands meanwhile."""
    async with apps("echo") as server, tab(browser, server.url) as page:
        await page.run("() => void start()")
        await page.run("() => channel.send('first')")
        await page.run(
            "() => { dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true})); }"
        )
        assert await page.run("() => channel.state") == "recovering"
        await page.run("() => { sendAndKeep('second'); }")
        await page.run(
            "() => { dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})); }"
        )
        await page.wait("fates.second === 'handled' && channel.state === 'open'")
        assert (await report(server))["messages"] == ["first", "second"]
