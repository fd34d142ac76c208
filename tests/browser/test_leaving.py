"""Pages that leave for good, and handlers that fail or do not receive, in a real browser.

With ``MATRIX=full``, pages leave in each way over each transport.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.pages import FULL, TRANSPORTS, apps, start, until_report
from tests.support.browsers.chromium import Tab, tab
from tests.support.servers.uvicorn import serving

pytestmark = pytest.mark.browser

HIDE = """() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
    document.dispatchEvent(new Event("freeze"));
    dispatchEvent(new Event("blur"));
}"""
"""A tab behind another one. Chromium without a screen hides none."""

WAYS = [
    *(("close", transport) for transport in TRANSPORTS),
    ("navigate", "websocket"),
    ("reload", "sse"),
]
if FULL:
    WAYS = list(product(("close", "navigate", "reload"), TRANSPORTS))

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def serving_app(name: str) -> Any:
    """Serve an application whose log has errors."""
    return serving(f"tests.support.apps:{name}", "--no-access-log", clean=False)


@pytest.mark.parametrize(("how", "transport"), WAYS)
async def test_session_of_page_that_leaves_ends_soon(
    browser: Browser, how: str, transport: str
) -> None:
    """LIV-6: its ``ttl`` is far beyond the deadline of the test."""
    async with apps("leaving") as server, tab(browser, server.url) as other:
        page = Tab(await other.page.context.new_page())
        await page.goto(server.url)
        await start(page, transport)
        await page.run("() => channel.send('x')")
        await page.wait("seen.length === 1")
        assert [len((await until_report(server, bool))["channels"])] == [1]
        if how == "close":
            await page.page.close(run_before_unload=True)
        elif how == "navigate":
            await page.page.goto("about:blank")
        else:
            await page.page.reload()
        await until_report(server, lambda seen: seen["channels"] == [])
        page.assert_no_errors()


async def test_page_that_stays_keeps_its_session(browser: Browser) -> None:
    """It is only hidden, before another one leaves: its session would have ended first."""
    async with apps("leaving") as server, tab(browser, server.url) as page:
        await start(page, "websocket")
        await page.run("() => channel.send('x')")
        await page.run(HIDE)
        other = Tab(await page.page.context.new_page())
        await other.goto(server.url)
        await start(other, "websocket")
        await other.run("() => channel.send('x')")
        await until_report(server, lambda seen: len(seen["channels"]) == 2)
        await other.page.close(run_before_unload=True)
        seen = await until_report(server, lambda seen: len(seen["channels"]) < 2)
        assert (len(seen["channels"]), seen["started"]) == (1, 2)
        await page.run("() => channel.send('y')")
        assert len(await page.run("() => happened('open')")) == 1


@each_transport
async def test_failed_handler_is_seen_in_console(browser: Browser, transport: str) -> None:
    async with serving_app("failing") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.run("() => sendAndKeep('boom')")
        await page.wait("happened('close').length === 1")
        [close] = await page.run("() => happened('close')")
        assert (close["code"], close["reason"]) == (1011, "the server's handler failed")
        assert await page.run("() => fates") == {"boom": "closed: unknown"}
        [line] = page.errors
        assert line.startswith("console.error: onechannel: the server's handler failed")
        page.errors.clear()


@each_transport
async def test_page_goes_on_after_failed_handler(browser: Browser, transport: str) -> None:
    """CLS-8."""
    async with serving_app("reopening") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.run("() => { sendAndKeep('boom'); sendAndKeep('never'); }")
        await page.wait("happened('open').length === 2")
        [reset] = await page.run("() => happened('reset')")
        assert (reset["reason"], reset["lost"]) == ("failed", [])
        assert await page.run("() => fates") == {
            "boom": "reset: unknown",
            "never": "reset: not_handled",
        }
        await page.run("() => channel.send('again')")
        await page.wait("seen.at(-1) === 'again'")
        assert len(page.errors) == 1
        page.errors.clear()


@each_transport
async def test_send_to_handler_that_only_pushes_rejects(browser: Browser, transport: str) -> None:
    """DAT-7."""
    async with apps("pushing") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.wait("seen.length === 1")
        await page.run("() => { for (const m of ['a', 'b', 'c']) sendAndKeep(m); }")
        await page.wait("!Object.values(fates).includes('pending')")
        assert await page.run("() => Object.values(fates)") == ["not_read: not_handled"] * 3
        await page.run("() => sendAndKeep('late')")
        await page.wait("fates.late !== 'pending'")
        assert await page.run("() => fates.late") == "not_read: not_handled"
