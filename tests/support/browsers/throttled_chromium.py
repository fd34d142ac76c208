"""Chromium as its users have it: hidden tabs are throttled, and pages that were left are kept.

Playwright's own launch turns off the back/forward cache and all that makes a hidden tab slow, and
tells every page that it is the one in front. Here Chromium is started without its flags, and
playwright comes to it behind that.
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
    """A headless Chromium with one window, an empty profile and further ``flags``.

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
            # A group of its own: all its processes end with it.
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
                        # Playwright's own close would only leave it. It ends before it answers.
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
    """Chromium writes it into its profile."""
    told = profile / "DevToolsActivePort"
    with anyio.fail_after(_STARTS_WITHIN):
        while True:
            lines = told.read_text().split("\n") if told.exists() else []
            if len(lines) > 1:
                return int(lines[0])
            await anyio.sleep(0.02)


@asynccontextmanager
async def front_tab(context: BrowserContext, url: str) -> AsyncIterator[Tab]:
    """A tab in front of the others; it must have shown no error when the block ends well."""
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
