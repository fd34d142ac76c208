"""One Chromium and one site for the tests of a library."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.consumers.install import run
from tests.integrations.stage import Stage
from tests.support.browsers.chromium import chromium
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import serving

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("integration")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture(scope="module")
async def stage(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Stage]:
    """The site of the library whose folder has the test, with its page bundled."""
    library = request.path.parent.name
    await run("node", HERE / "bundle.mjs", library, folder=HERE)
    app = f"tests.integrations.{library}.server:app"
    # Without compression, so that the bytes until a cut are those of the messages.
    options = ("--no-access-log", "--ws-per-message-deflate", "false")
    async with serving(app, *options) as server, FaultProxy(server.port) as proxy:
        yield Stage(library, browser, server, proxy)
