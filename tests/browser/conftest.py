"""One Chromium for the tests of a file; each has pages with a profile of their own.

Not for longer: as long as it runs, all tests share its event loop, also those that turn the clock.
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
