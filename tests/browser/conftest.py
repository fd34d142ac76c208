"""One Chromium for the tests of a module; each test has pages with their own profile.

The browser does not outlive the module: while it runs, all tests share its event loop, including
those that need a virtual clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.support.browsers.chromium import DEADLINE, chromium

expect.set_options(timeout=DEADLINE * 1000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one
