"""The pages of the README and of docs/browser.md, as visitors would use them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.contracts.test_documents import CHAT, PAGE, serving_code
from tests.support.browsers.chromium import tab

pytestmark = pytest.mark.browser


async def test_readme_page_is_served_to_two_tabs(browser: Browser, tmp_path: Path) -> None:
    async with (
        serving_code(tmp_path, CHAT) as server,
        tab(browser) as one,
        tab(browser) as two,
    ):
        for each in (one, two):
            await each.page.goto(server.url)
        await one.page.get_by_placeholder("Message").fill("hello")
        await one.page.get_by_placeholder("Message").press("Enter")
        for each in (one, two):
            await expect(each.page.locator("pre")).to_have_text("hello\n")
        one.assert_no_errors()
        assert not [line for line in server.log if " 404" in line]  # as for a missing icon


async def test_script_of_browser_page_works(browser: Browser, tmp_path: Path) -> None:
    async with serving_code(tmp_path, CHAT) as server, tab(browser) as one:
        # Any page of this server will do.
        await one.page.goto(f"{server.url}/chat/client.js")
        await one.run(
            "() => { globalThis.shown = []; globalThis.show = (what) => shown.push(what); }"
        )
        await one.page.add_script_tag(content=PAGE, type="module")
        await one.wait("shown.length >= 3")
        message, state, explained = await one.run("() => shown")
        assert (message, state) == ({"text": "hello"}, "open")
        assert [(each["transport"], each["outcome"]) for each in explained] == [
            ("websocket", "open")
        ]
