"""The demo's scene with several workers: the page kills one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser

from tests.browser.stage import demo_server
from tests.support.browsers.chromium import DEADLINE, Tab, tab

pytestmark = pytest.mark.browser

# Functions, because the page's policy forbids to evaluate strings.
GUESTS = "() => [...document.querySelectorAll('.guest')].map(({ dataset }) => ({ ...dataset }))"
SETTLED = """([home, lines]) => [...document.querySelectorAll(".guest")].every(({ dataset }) =>
    dataset.state === "open" && dataset.home > 0 && dataset.edge > 0 && dataset.home !== home &&
    dataset.received >= lines)"""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The address of the workers' server, which runs as long as the demo."""
    async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
        async with demo_server() as server:
            url = (await client.get(f"{server.url}/workers/")).headers["location"]
            yield url
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def guests_of(page: Tab) -> list[dict[str, Any]]:
    """Return what the page shows of its six channels; the first is the user's."""
    found: list[dict[str, Any]] = await page.run(GUESTS)
    return found


async def test_killed_worker_resets_its_guests_only(browser: Browser, url: str) -> None:
    async with tab(browser) as page:
        await page.page.goto(url)
        await page.wait(SETTLED, ["", 5])
        while len({one["home"] for one in await guests_of(page)}) == 1:
            await page.page.reload()  # by chance, all sessions began in the same worker
            await page.wait(SETTLED, ["", 5])
        before = await guests_of(page)
        victim = before[0]["home"]
        await page.page.get_by_role("button", name="Kill your home").click()
        await page.wait(SETTLED, [victim, 5])
        after = await guests_of(page)
    assert [int(one["resets"]) for one in after] == [int(one["home"] == victim) for one in before]
    assert {(one["lost"], one["doubled"]) for one in after} == {("0", "0")}
    for one, then in zip(before, after, strict=True):
        if one["home"] != victim:
            assert then["home"] == one["home"]
            assert int(then["received"]) > int(one["received"])
