"""Browsers that the rows are shown to: whatever opens an `AnyTab`, through a proxy if need be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio
import playwright.async_api

from tests.support.browsers.chromium import AnyTab, Tab, chromium

_ANSWERS_WITHIN = 60.0


class Browser(Protocol):
    """A browser that runs."""

    def page(self, proxy: str | None = None) -> AbstractAsyncContextManager[AnyTab]:
        """A blank page with a profile of its own, which takes any certificate.

        Args:
            proxy: the URL of a forward proxy that it is to ask, for loopback too.
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
"""By the name that the table has for them."""
