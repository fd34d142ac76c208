"""One Chromium and one echoing server for the tests of a module.

Each test has pages with their own profile, and reads what the server has seen since it began.

The browser does not outlive the module: while it runs, all tests share its event loop, including
those that need a virtual clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.browser.pages import Service, apps, report
from tests.support.browsers.chromium import DEADLINE, chromium
from tests.support.servers.uvicorn import Server

expect.set_options(timeout=DEADLINE * 1000)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture(scope="module")
async def echo_server() -> AsyncIterator[Server]:
    async with apps("echo") as one:
        yield one


@pytest.fixture
async def echo(echo_server: Server) -> Service:
    """A service that echoes. A test that restarts or stops its server starts its own."""
    return Service(echo_server, await report(echo_server))
