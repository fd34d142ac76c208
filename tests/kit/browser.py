"""Chromium, driven by playwright: pages that remember what went wrong on them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    async_playwright,
)

_EXECUTABLE = "/usr/bin/chromium"
_SCRIPT = Path(__file__).with_name("page.js")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]
_ANSWERS_WITHIN = 20.0
"""Seconds for Chromium to make a profile or to let go of one: above that it hangs."""

_OF_THE_NETWORK = re.compile(
    r"Failed to load resource|WebSocket connection to .* failed|has been blocked by CORS policy"
)
"""What Chromium itself writes on its console where a connection fails; no page can prevent it."""


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """A headless Chromium with an empty profile, and further ``flags``."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_EXECUTABLE, headless=True, args=[*_FLAGS, *flags]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Tab:
    """A page, and what was wrong on it.

    Attributes:
        page: playwright's own.
        errors: uncaught errors, unhandled rejections, and errors and warnings of the console, save
            those that Chromium itself writes where a connection fails.
        network_errors: those.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.network_errors: list[str] = []
        page.on("pageerror", self._raised)
        page.on("console", self._wrote)
        page.on("crash", lambda _: self.errors.append("the page crashed"))

    def _raised(self, error: Error) -> None:
        self.errors.append(error.stack or str(error))

    def _wrote(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning", "assert"):
            return
        if _OF_THE_NETWORK.search(message.text):
            self.network_errors.append(message.text)
        else:
            self.errors.append(f"console.{message.type}: {message.text}")

    async def goto(self, url: str, *, timeout: float = 10) -> None:
        """Load the page and wait until its script has the client (`window.ready`)."""
        with anyio.fail_after(timeout):
            await self.page.goto(url)
            await self.page.wait_for_function("window.ready === true")

    async def run(self, script: str, argument: object = None, *, timeout: float = 10) -> Any:
        """Evaluate a JavaScript function in the page and wait for what it answers."""
        with anyio.fail_after(timeout):
            return cast("Any", await self.page.evaluate(script, argument))

    async def wait(self, condition: str, argument: object = None, *, timeout: float = 10) -> None:
        """Wait until a JavaScript expression or function is true in the page."""
        with anyio.fail_after(timeout):
            await self.page.wait_for_function(
                condition, arg=argument, polling=20, timeout=timeout * 1000
            )

    def assert_no_errors(self) -> None:
        assert self.errors == []


@asynccontextmanager
async def tab(
    browser: Browser, url: str | None = None, *, ignore_https_errors: bool = False
) -> AsyncIterator[Tab]:
    """A page with a profile of its own; it must have shown no error when the block ends well."""
    with anyio.fail_after(_ANSWERS_WITHIN):
        context = await browser.new_context(ignore_https_errors=ignore_https_errors)
    try:
        await context.add_init_script(path=_SCRIPT)
        one = Tab(await context.new_page())
        if url is not None:
            await one.goto(url)
        yield one
        # What was rejected in the last turn is reported in the next.
        await one.run("() => new Promise((resolve) => setTimeout(resolve, 0))")
        one.assert_no_errors()
    finally:
        with anyio.CancelScope(shield=True), anyio.fail_after(_ANSWERS_WITHIN):
            await context.close()
