"""The scene with Redis: the page kills a worker, and its sessions go on in others."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser

from examples.demo.app import application
from examples.scaled import serve
from tests.support.browsers.chromium import Tab, tab
from tests.support.redis_processes import end_grace
from tests.support.servers.process import running
from tests.support.servers.redis import RedisServer
from tests.support.servers.uvicorn import free_port

pytestmark = pytest.mark.browser

# Functions, because the page's policy forbids to evaluate strings.
COUNTERS = "() => [...document.querySelectorAll('.counter')].map(({ dataset }) => ({ ...dataset }))"
SETTLED = """([home, least]) => [...document.querySelectorAll(".counter")].filter(({ dataset }) =>
    dataset.state === "open" && dataset.home > 0 && dataset.edge > 0 && dataset.home !== home &&
    Number(dataset.answered) >= least).length === 6"""


@pytest.fixture
async def url(redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[str]:
    """The address of the scene, served by its own command, with a Redis whose data is old."""
    await end_grace(redis_server)
    port = free_port()
    environment = {"PORT": str(port), "REDIS_URL": redis_server.url}
    command = (sys.executable, serve.__file__)
    async with running("scaled", command, tmp_path, [port], environment) as server:
        yield f"http://127.0.0.1:{port}/"
        assert "Traceback" not in await server.log()


async def counters_of(page: Tab) -> list[dict[str, Any]]:
    """Return what the page shows of its six channels."""
    found: list[dict[str, Any]] = await page.run(COUNTERS)
    return found


async def test_killed_worker_moves_its_sessions(browser: Browser, url: str) -> None:
    async with tab(browser) as page:
        await page.page.goto(url)
        await page.wait(SETTLED, ["", 3])
        before = await counters_of(page)
        victim = before[0]["home"]
        await page.page.get_by_role("button", name=f"Kill worker {victim}").click()
        sent = max(int(one["sent"]) for one in before)
        await page.wait(SETTLED, [victim, sent + 5])
        after = await counters_of(page)
    assert {(one["lost"], one["doubled"], one["resets"]) for one in after} == {("0", "0", "0")}
    assert [one["moves"] for one in after] == [str(int(one["home"] == victim)) for one in before]


async def test_demo_names_what_scene_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.setenv("PATH", "/nowhere")
    transport = httpx.ASGITransport(application(lambda: None))
    async with httpx.AsyncClient(transport=transport, base_url="http://demo") as client:
        answer = await client.get("/scaled/")
    assert answer.status_code == 503
    assert answer.text.startswith("redis-server is missing: apt install redis-server")
