"""The browsers in which the rows run, each through a forward proxy if needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio
import playwright.async_api

from tests.support.browsers.chromium import AnyTab, Tab, chromium

_ANSWERS_WITHIN = 60.0


class Browser(Protocol):
    """A running browser."""

    def page(self, proxy: str | None = None) -> AbstractAsyncContextManager[AnyTab]:
        """Open a blank page with its own profile, which accepts any certificate.

        Args:
            proxy: the URL of a forward proxy to use, for loopback too.
        """
        ...


class _Chromium:
    def __init__(self, one: playwright.async_api.Browser) -> None:
        self._browser = one

    @asynccontextmanager
    async def page(self, proxy: str | None = None) -> AsyncIterator[AnyTab]:
        with anyio.fail_after(_ANSWERS_WITHIN):
            context = await self._browser.new_context(
                ignore_https_errors=True,
                proxy={"server": proxy, "bypass": "<-loopback>"} if proxy else None,
            )
        try:
            tab = Tab(await context.new_page())
            yield tab
            tab.assert_no_errors()
        finally:
            with anyio.CancelScope(shield=True), anyio.fail_after(_ANSWERS_WITHIN):
                await context.close()


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield _Chromium(one)


BROWSERS: dict[str, Callable[[], AbstractAsyncContextManager[Browser]]] = {"Chromium": _chromium}
"""The browsers, by the name that the table uses."""
