"""Chromium as users run it: it throttles hidden tabs and keeps pages that were left in its cache.

Playwright's own launch disables the back/forward cache and the throttling of hidden tabs, and makes
every page believe that it is in front. This module starts Chromium without those flags, and then
connects playwright to it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from playwright.async_api import BrowserContext, Error, async_playwright

from tests.support.browsers.chromium import CHROMIUM, CHROMIUM_FLAGS, PAGE_SCRIPT, Tab

_STARTS_WITHIN = 60.0
_ENDS_WITHIN = 30.0


@asynccontextmanager
async def throttled_chromium(*flags: str) -> AsyncIterator[BrowserContext]:
    """Run a headless Chromium with one window, an empty profile and further ``flags``.

    The tabs of its window share the profile. One of them is in front; the others are hidden.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            *CHROMIUM_FLAGS,
            *flags,
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            # Its own process group, so that all its processes can be ended together.
            process_group=0,
        )
        try:
            port = await _debugging_port(Path(profile))
            async with async_playwright() as playwright:
                browser = await playwright.chromium.connect_over_cdp(
                    f"http://127.0.0.1:{port}", no_defaults=True
                )
                [context] = browser.contexts
                await context.add_init_script(path=PAGE_SCRIPT)
                try:
                    yield context
                finally:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(_ENDS_WITHIN):
                        # Playwright's own close would only disconnect. This closes the browser.
                        with suppress(Error):
                            session = await browser.new_browser_cdp_session()
                            await session.send("Browser.close")
                        await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True), anyio.fail_after(_ENDS_WITHIN):
                await process.wait()


async def _debugging_port(profile: Path) -> int:
    """Return the debugging port, which Chromium writes into its profile."""
    port_file = profile / "DevToolsActivePort"
    with anyio.fail_after(_STARTS_WITHIN):
        while True:
            lines = port_file.read_text().split("\n") if port_file.exists() else []
            if len(lines) > 1:
                return int(lines[0])
            await anyio.sleep(0.02)


@asynccontextmanager
async def front_tab(context: BrowserContext, url: str) -> AsyncIterator[Tab]:
    """Open a tab in front of the others. At a normal end of the block, check for errors."""
    one = Tab(await context.new_page())
    try:
        await one.page.bring_to_front()
        await one.goto(url)
        yield one
        await one.run("() => new Promise((resolve) => setTimeout(resolve, 0))")
        one.assert_no_errors()
    finally:
        with anyio.CancelScope(shield=True), anyio.fail_after(_ENDS_WITHIN):
            await one.page.close()


@asynccontextmanager
async def hidden(one: Tab) -> AsyncIterator[None]:
    """Show another tab in front of this one while the block runs."""
    other = await one.page.context.new_page()
    try:
        await other.bring_to_front()
        yield
        await one.page.bring_to_front()
    finally:
        with anyio.CancelScope(shield=True), anyio.fail_after(_ENDS_WITHIN):
            await other.close()
