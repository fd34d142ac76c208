"""A page that cannot connect learns why: from the `unreachable` event, and from `explain()`."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.front import front, refused
from tests.browser.pages import Service, apps
from tests.support.browsers.chromium import DEADLINE, OUTAGE_WARNING, Tab, tab
from tests.support.servers.uvicorn import serving

pytestmark = pytest.mark.browser

OPEN = """([url, transports]) => {
    globalThis.reports = [];
    const channel = (globalThis.channel = new Channel(url, { transports }));
    channel.addEventListener("unreachable", ({ cause, reason }) => reports.push({ cause, reason }));
    channel.addEventListener("close", ({ code, reason }) => reports.push({ cause: code, reason }));
}"""
ALL = ["websocket", "sse", "longpoll"]
TRANSPORTS = pytest.mark.parametrize("transports", [ALL, ["websocket"], ["sse"]], ids="-".join)


async def first_report(page: Tab, url: str, transports: list[str]) -> dict[str, Any]:
    await page.run(OPEN, [url, transports])
    await page.wait("reports.length > 0")
    report: dict[str, Any] = await page.run("() => reports[0]")
    return report


async def reasons(page: Tab) -> list[str]:
    found: list[str] = await page.run("() => channel.explain().map(({ reason }) => reason)")
    return found


@TRANSPORTS
async def test_wrong_url_is_reported(
    browser: Browser, echo: Service, transports: list[str]
) -> None:
    async with tab(browser, echo.url) as page:
        report = await first_report(page, "/caht", transports)
        assert report["cause"] == "wrong_url"
        assert "Check its path" in report["reason"]
        assert any("Check its path" in reason for reason in await reasons(page))


async def test_page_that_does_not_listen_is_warned(browser: Browser, echo: Service) -> None:
    """The console shows the status of each request, and then what it means."""
    async with tab(browser, echo.url) as page:
        async with page.page.expect_console_message(
            lambda message: OUTAGE_WARNING in message.text, timeout=DEADLINE * 1000
        ) as caught:
            await page.run("() => void new Channel('/caht')")
        warning = await caught.value
        assert warning.type == "warning"
        assert "(wrong_url)" in warning.text
        assert "Check its path" in warning.text


@TRANSPORTS
async def test_foreign_origin_is_reported(browser: Browser, transports: list[str]) -> None:
    """The page comes from one server, and connects to another that does not list its origin.

    A request reads the refusal, which closes the channel; a WebSocket cannot, so a GET does.
    """
    async with (
        apps("echo") as home,
        serving("tests.support.apps:echo", "--no-access-log") as foreign,
        tab(browser, home.url) as page,
    ):
        report = await first_report(page, f"{foreign.url}/chat", transports)
        assert report["cause"] == ("forbidden_origin" if transports == ["websocket"] else 4403)
        assert "Hub(origins=[...])" in report["reason"]


@TRANSPORTS
async def test_dead_server_is_reported(browser: Browser, transports: list[str]) -> None:
    async with apps("echo") as home, tab(browser, home.url) as page:
        async with apps("echo") as gone:
            pass
        report = await first_report(page, f"{gone.url}/chat", transports)
        assert report["cause"] == "no_answer"


async def test_page_that_is_offline_is_told_so(browser: Browser, echo: Service) -> None:
    async with tab(browser, echo.url) as page:
        await page.page.context.set_offline(True)
        report = await first_report(page, "/chat", ALL)
        assert report["cause"] == "offline"
        await page.page.context.set_offline(False)
        await page.wait("channel.state === 'open'")


async def test_lost_server_is_reported_once(browser: Browser, echo: Service) -> None:
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        await page.run(OPEN, ["/chat", ["websocket"]])
        await page.run("() => channel.send('first')")
        one.faults["websocket"] = refused
        await page.run("() => channel.reconnect()")
        await page.wait("channel.statistics().attempts.websocket > 3")
        causes = await page.run("() => reports.map(({ cause }) => cause)")
        assert causes == ["no_answer"]
