"""What a page is told without asking: rejected sends on the console, and the debug log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.browser.pages import TRANSPORTS, Service, start
from tests.support.browsers.chromium import tab

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_refused_send_is_reported_by_the_browser(
    browser: Browser, echo: Service, transport: str
) -> None:
    """The example of a chat message with ``replyTo: undefined`` is sent, one with NaN is not."""
    async with tab(browser, echo.url) as page:
        await start(page, transport)
        await page.run(
            """() => {
                globalThis.unhandled = [];
                addEventListener("unhandledrejection", ({ reason }) => unhandled.push(reason));
                channel.send({ text: "hello", replyTo: undefined, at: new Date(0) });
                channel.send({ items: [{ price: NaN }] });
                channel.send("next");
            }"""
        )
        await page.wait("seen.length >= 2 && unhandled.length >= 1")
        assert await page.run("() => seen") == [
            {"text": "hello", "at": "1970-01-01T00:00:00.000Z"},
            "next",
        ]
        message = "cannot send: message.items[0].price is NaN. Convert it first, or leave it out."
        assert await page.run("() => unhandled.map(({ code, message }) => [code, message])") == [
            ["invalid_message", message]
        ]
        assert [message in error for error in page.errors] == [True], page.errors
        page.errors.clear()


async def test_mistakes_that_browser_reports_are_documented(
    browser: Browser, echo: Service
) -> None:
    """A call without ``new``, the module as a classic script, and an import in one."""
    document = (Path(__file__).parents[2] / "docs/browser.md").read_text("utf-8")
    async with tab(browser, echo.url) as page:
        called: str = await page.run(
            "() => { try { Channel('/chat'); } catch (error) { return error.message; } }"
        )
        assert re.sub(r"constructor \w+", "constructor Nt", called) in document
        for script in ({"url": "/chat/client.js"}, {"content": "import { Channel } from '/x.js';"}):
            async with page.page.expect_event("pageerror"):
                await page.page.add_script_tag(**script)
        texts = [error.splitlines()[0].rpartition(": ")[2] for error in page.errors]
        assert len(texts) == 2
        assert [text for text in texts if f"`{text}`" not in document] == []
        page.errors.clear()


async def test_debug_log_is_set_from_the_console(browser: Browser, echo: Service) -> None:
    """An existing page imports the client again, which is the same module."""
    async with tab(browser, echo.url) as page:
        await start(page, "websocket")
        await page.run(
            """async () => {
                await channel.send("first");
                const { Channel } = await import("/chat/client.js");
                globalThis.lines = [];
                Channel.debug = (line) => lines.push(line.replace(/^onechannel \\d+ /, ""));
                channel.send("a secret");
            }"""
        )
        await page.wait("seen.length >= 2")
        assert (await page.run("() => lines"))[:2] == [
            "websocket #1 > data 2-2 ack=1",
            "websocket #1 < data 2-2 ack=2",
        ]
        assert "secret" not in "\n".join(await page.run("() => lines"))
