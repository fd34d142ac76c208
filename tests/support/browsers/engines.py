"""Each browser by its name, behind the same small interface, so that a test can use any of them.

async with engine("firefox") as browser, browser.tab(server.url) as page:
    await page.run("() => ...")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from playwright.async_api import Browser

from tests.support.browsers.chromium import AnyTab, Engine, chromium, tab
from tests.support.browsers.firefox import firefox
from tests.support.browsers.webkit import webkit

ENGINES = ("chromium", "firefox", "webkit")


class _Chromium:
    name = "chromium"

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def tab(
        self,
        url: str | None = None,
        *,
        ignore_https_errors: bool = False,
        proxy: str | None = None,
    ) -> AbstractAsyncContextManager[AnyTab]:
        return tab(self._browser, url, ignore_https_errors=ignore_https_errors, proxy=proxy)


@asynccontextmanager
async def engine(name: str) -> AsyncIterator[Engine]:
    """Run one of `ENGINES`, headless, with an empty profile."""
    match name:
        case "chromium":
            async with chromium() as browser:
                yield _Chromium(browser)
        case "firefox":
            async with firefox() as one:
                yield one
        case "webkit":
            async with webkit() as other:
                yield other
        case _:
            raise ValueError(f"there is no engine {name!r}")
