"""The console page, used by hand in Chromium, under its Content-Security-Policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.browsers.chromium import DEADLINE, tab
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long polling"}
COLLECT_VIOLATIONS = """
    window.violations = [];
    const collect = (event) => violations.push(event.effectiveDirective);
    addEventListener("securitypolicyviolation", collect);
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.support.console_app:app", "--no-access-log") as one:
        yield one


class Visitor:
    """A user of the console page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def send(self, text: str, format: str = "Text") -> None:
        await self.page.get_by_label("Format").select_option(format)
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_label("Message", exact=True).press("Enter")

    def log(self, kind: str, text: str | re.Pattern[str] = "") -> Locator:
        """Return the entries of the log of this kind that contain the text."""
        return self.page.locator(f"#log .{kind}").filter(has_text=text)

    async def expect_state(self, text: str) -> None:
        await expect(self.page.get_by_role("status")).to_have_text(text)

    async def expect_echo(self, text: str) -> None:
        """Wait until a message has been handled, once, and its echo has arrived, once."""
        await expect(self.log("sent", text)).to_have_text(
            re.compile(r"handled by the server after \d+ ms$")
        )
        await expect(self.log("received", text)).to_have_count(1)


@asynccontextmanager
async def visiting(browser: Browser, url: str) -> AsyncIterator[Visitor]:
    """Open the console page. At the end, check that nothing has violated its policy."""
    async with tab(browser) as one:
        await one.page.add_init_script(COLLECT_VIOLATIONS)
        await one.page.goto(url)
        yield Visitor(one.page)
        assert await one.run("() => violations") == []


async def test_console_sends_and_switches_transports(browser: Browser, server: Server) -> None:
    async with visiting(browser, f"{server.url}/open") as ada:
        await ada.expect_state("not connected")
        await ada.press("Connect")
        await ada.expect_state("open over WebSocket")
        for format, text, shown in (
            ("Text", "<b>hello</b>", '"<b>hello</b>"'),
            ("JSON", '{"a": [1, null]}', '{"a":[1,null]}'),
            ("Bytes", "00 ffC0", "3 bytes: 00 ff c0"),
        ):
            await ada.send(text, format)
            await ada.expect_echo(shown)
        for format, text in (("JSON", "{"), ("Bytes", "0g")):
            await ada.send(text, format)
            await expect(ada.page.get_by_role("alert")).not_to_be_empty()
        await ada.send("right")
        await expect(ada.page.get_by_role("alert")).to_be_empty()
        for transport in ("sse", "longpoll", "websocket"):
            await ada.press(f"Only {NAMES[transport]}")
            await ada.expect_state(f"open over {NAMES[transport]}")
            await ada.send(f"over {transport}")
            await ada.expect_echo(f"over {transport}")
            resumed = await ada.log("resumed").count()
            await ada.press("Cut")
            await expect(ada.log("resumed")).to_have_count(resumed + 1)
            await ada.expect_state(f"open over {NAMES[transport]}")
            await ada.send(f"after the cut of {transport}")
            await ada.expect_echo(f"after the cut of {transport}")
        await ada.page.get_by_role("checkbox", name="SSE").check()
        await ada.page.get_by_role("checkbox", name="WebSocket").uncheck()
        await ada.expect_state("open over SSE")
        await expect(ada.page.locator("#attempts li").first).to_have_text(
            re.compile(r"^SSE: open after \d+ ms$")
        )
        await expect(ada.log("reset")).to_have_count(0)


async def test_console_recovers_what_it_sent_while_suspended(
    browser: Browser, server: Server
) -> None:
    async with visiting(browser, f"{server.url}/open/") as ada:
        await ada.press("Connect")
        await ada.expect_state("open over WebSocket")
        await ada.press("Suspend")
        await ada.expect_state("suspended")
        await ada.send("while away")
        await expect(ada.log("sent", "while away")).to_contain_text("not handled yet")
        await ada.press("Resume")
        await ada.expect_echo("while away")
        await ada.press("Close")
        await expect(ada.log("closed", "1000")).to_have_count(1)
        await ada.press("Connect")
        await ada.expect_state("open over WebSocket")


async def test_console_page_sends_credentials_and_cookies(browser: Browser, server: Server) -> None:
    async with visiting(browser, f"{server.url}/private") as ada:
        await ada.press("Connect")
        await expect(ada.log("closed", "4401")).to_have_count(1)
        await ada.page.get_by_label("Credentials").fill('{"token": "ada"}')
        await ada.press("Connect")
        await ada.expect_state("open over WebSocket")
        await ada.press("Close")
        await ada.expect_state("closed")
        await ada.page.get_by_label("Credentials").fill("")
        await ada.page.context.add_cookies([{"name": "session", "value": "ada", "url": server.url}])
        await ada.press("Only long polling")
        await ada.press("Connect")
        await ada.expect_state("open over long polling")


@pytest.mark.parametrize("prefix", ["/live", "/renamed"])
async def test_console_works_behind_proxy(browser: Browser, server: Server, prefix: str) -> None:
    """The server sees `/`, and in one case a `Host` of its own: only the page knows its URL."""
    async with visiting(browser, f"{server.url}{prefix}") as ada:
        await expect(ada.page.get_by_label("URL")).to_have_value(prefix)
        await ada.press("Connect")
        await ada.expect_state("open over WebSocket")
        await ada.send("hello")
        await ada.expect_echo("hello")


TO_VIOLATE = {
    "script-src-elem": "document.body.append(make('script', { textContent: 'window.ran = true' }))",
    "script-src-attr": "document.body.setAttribute('onclick', 'window.ran = true')",
    "style-src-elem": "document.body.append(make('style', { textContent: '* {}' }))",
    "style-src-attr": "document.body.setAttribute('style', 'color: red')",
    "connect-src": "fetch('http://localhost:9/').catch(() => {})",
    "img-src": "document.body.append(make('img', { src: '/favicon.ico' }))",
    "frame-src": "document.body.append(make('iframe', { src: '/live' }))",
    "base-uri": "document.head.append(make('base', { href: '/other/' }))",
    "form-action": "document.body.appendChild(make('form', { action: '/open/send' })).submit()",
}
"""What the policy forbids, and a script that does it."""

VIOLATE = """({ directive }) => new Promise((resolve) => {
    addEventListener("securitypolicyviolation", ({ effectiveDirective }) => {
        if (effectiveDirective === directive) resolve();
    });
    const make = (tag, fields) => Object.assign(document.createElement(tag), fields);
    SCRIPT;
})"""


async def test_console_policy_forbids_everything_else(browser: Browser, server: Server) -> None:
    page = await browser.new_page()
    try:
        await page.goto(f"{server.url}/open")
        for directive, script in TO_VIOLATE.items():
            with anyio.fail_after(DEADLINE):
                code = VIOLATE.replace("SCRIPT", script)
                await page.evaluate(code, {"directive": directive})
        assert await page.evaluate("window.ran") is None
    finally:
        await page.close()
