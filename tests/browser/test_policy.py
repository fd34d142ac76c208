"""The page of client_js/README.md in Chromium: its script from a CDN, and its security policy."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
README = (ROOT / "client_js/README.md").read_text("utf-8")
SCRIPT = (ROOT / "transport/static/client.global.js").read_bytes()
HASH = base64.b64encode(hashlib.sha384(SCRIPT).digest()).decode()
CDN = "https://cdn.example.com"
[HTML] = re.findall(r"^```html\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
[POLICY] = re.findall(r"^Content-Security-Policy: (.*)$", README, re.MULTILINE)
_PAGE = """\
const channel = new onechannel.Channel("/chat");
channel.onopen = async () => {
    await channel.send("hello");
    const attempts = channel.explain().map(({ transport, outcome, reason }) =>
        `${transport} ${outcome} ${reason}`.trim());
    document.title = attempts.join(", ");
};
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.support.guarded_page:app", "--no-access-log") as server:
        yield server


@asynccontextmanager
async def opening(
    browser: Browser, server: Server, policy: str, script: bytes = SCRIPT
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open the page under ``policy``; the CDN serves ``script``. Also yield what the console says.

    Nothing but the page runs in it: a policy without ``unsafe-eval`` forbids most of `Tab`.
    """
    [source] = re.findall(rf'src="{CDN}(.*?)"', HTML)
    policy = policy.replace("wss://example.com", server.url.replace("http", "ws"))
    html = f"<!doctype html><title></title>{HTML.replace('HASH', HASH)}"
    answers: dict[str, dict[str, Any]] = {
        f"{server.url}/page.js": {"content_type": "text/javascript", "body": _PAGE},
        f"{CDN}{source}": {
            "headers": {"access-control-allow-origin": "*", "content-type": "text/javascript"},
            "body": script,
        },
        f"{server.url}/favicon.ico": {"status": 204},
    }

    async def answer(route: Route) -> None:
        await route.fulfill(**answers[route.request.url])

    page = await browser.new_page()
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    try:
        for url in answers:
            await page.route(url, answer)
        await page.goto(f"{server.url}/page?{urlencode({'policy': policy, 'html': html})}")
        yield page, console
    finally:
        await page.close()


async def test_documented_policy_lets_channel_open(browser: Browser, server: Server) -> None:
    strict = f"{POLICY}; require-trusted-types-for 'script'"
    async with opening(browser, server, strict) as (page, console):
        await expect(page).to_have_title("websocket open")
        assert console == []


async def test_policy_without_websocket_leaves_stream(browser: Browser, server: Server) -> None:
    policy = POLICY.replace("connect-src 'self' wss://example.com", f"connect-src {server.url}")
    assert policy != POLICY
    blocked = "websocket failed blocked by the page's Content-Security-Policy, sse open"
    async with opening(browser, server, policy) as (page, console):
        await expect(page).to_have_title(blocked)
        assert ["Connecting to 'ws://" in text for text in console] == [True]


async def test_script_of_another_hash_does_not_run(browser: Browser, server: Server) -> None:
    async with opening(browser, server, POLICY, SCRIPT + b" ") as (page, console):
        await page.wait_for_load_state()
        [blocked, undefined] = console
        assert "Failed to find a valid digest in the 'integrity' attribute" in blocked
        assert "onechannel is not defined" in undefined
        assert await page.title() == ""
