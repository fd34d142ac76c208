"""The end of a channel in a real browser: expiry, restart, handler return and close."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.browser.pages import (
    TRANSPORTS,
    apps,
    page_behind_proxy,
    release,
    report,
    start,
    until_report,
)
from tests.support.browsers.chromium import tab

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_expired_session_reports_fate_of_each_send(browser: Browser, transport: str) -> None:
    async with page_behind_proxy(browser, "expiring") as (server, proxy, page):
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1")
        await page.run("() => { for (const m of ['hold', 'forever', 'never']) sendAndKeep(m); }")
        await page.run("() => { channel.send('not awaited'); }")
        await until_report(server, lambda seen: [c["received"] for c in seen["channels"]] == [5])
        proxy.refuse = True
        proxy.cut()
        await release(server)
        await until_report(server, lambda seen: seen["messages"][-1:] == ["forever"])
        await until_report(server, lambda seen: seen["channels"] == [])
        proxy.heal()
        await page.wait("happened('reset').length === 1")
        [reset] = await page.run("() => happened('reset')")
        assert reset == {
            "type": "reset",
            "reason": "expired",
            "lost": [2, 4],
            "sends": [
                {"message": "hold", "fate": "handled"},
                {"message": "forever", "fate": "unknown"},
                {"message": "never", "fate": "not_handled"},
                {"message": "not awaited", "fate": "not_handled"},
            ],
        }
        await page.wait("!Object.values(fates).includes('pending')")
        assert await page.run("() => fates") == {
            "hold": "handled",
            "forever": "reset: unknown",
            "never": "reset: not_handled",
        }
        await page.run("() => channel.send('again')")
        await page.wait("seen.at(-1) === 'again'")
        assert await page.run("() => seen") == ["first", "again"]
        await page.wait("channel.state === 'open'")
        assert (await report(server))["started"] == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_restarted_server_resets_session(browser: Browser, transport: str) -> None:
    async with apps("holding") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1")
        await page.run("() => { for (const m of ['hold', 'never']) sendAndKeep(m); }")
        await page.run("() => { channel.send('not awaited'); }")
        await until_report(server, lambda seen: [c["received"] for c in seen["channels"]] == [4])
        await server.restart()
        await page.wait("happened('reset').length === 1")
        [reset] = await page.run("() => happened('reset')")
        assert reset == {
            "type": "reset",
            "reason": "restarted",
            "lost": None,
            "sends": [
                {"message": message, "fate": "unknown"}
                for message in ("hold", "never", "not awaited")
            ],
        }
        await page.wait("!Object.values(fates).includes('pending')")
        assert await page.run("() => fates") == {
            "hold": "reset: unknown",
            "never": "reset: unknown",
        }
        await page.run("() => channel.send('again')")
        await page.wait("seen.at(-1) === 'again'")
        assert await page.run("() => seen") == ["first", "again"]
        assert await page.run("() => channel.state") == "open"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_last_messages_of_handler_survive_cut(browser: Browser, transport: str) -> None:
    async with page_behind_proxy(browser, "bye") as (server, proxy, page):
        await start(page, transport)
        await page.wait("seen.length === 1")
        proxy.refuse = True
        assert proxy.cut() > 0
        await release(server)
        await until_report(server, lambda seen: seen["ended"] == 1)
        proxy.heal()
        await page.wait("happened('close').length === 1")
        # The client repeats an interrupted poll, so there may be no new attach.
        happened = await page.run("() => events.filter(({type}) => type !== 'recovering')")
        assert [event for event in happened if event["type"] != "resumed"] == [
            {"type": "transport", "transport": transport},
            {"type": "open"},
            {"type": "message", "data": "welcome"},
            {"type": "message", "data": "bye"},
            {"type": "close", "code": 1000, "reason": "", "by": "app", "wasClean": True},
        ]
        assert await page.run("() => channel.state") == "closed"
        await until_report(server, lambda seen: seen["channels"] == [])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_return_of_handler_closes_both_sides(browser: Browser, transport: str) -> None:
    async with apps("bye") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.wait("seen.length === 1")
        await release(server)
        await page.wait("happened('close').length === 1")
        assert await page.run("() => seen") == ["welcome", "bye"]
        await until_report(server, lambda seen: seen["channels"] == [])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_flushes_sends(browser: Browser, transport: str) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        fates = await page.run(
            """async (transport) => {
                start({transports: [transport]});
                const sends = [];
                for (let i = 0; i < 500; i++) sends.push(channel.send(i));
                await channel.close(3001, "enough");
                return (await Promise.allSettled(sends)).map(({status}) => status);
            }""",
            transport,
        )
        assert fates == ["fulfilled"] * 500
        seen = await until_report(server, lambda seen: seen["ended"] == 1)
        assert seen["messages"] == [*range(500)]
        assert await page.run("() => seen") == [*range(500)]
        [close] = await page.run("() => happened('close')")
        assert (close["code"], close["reason"], close["wasClean"]) == (3001, "enough", True)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_flushes_sends_over_cut(browser: Browser, transport: str) -> None:
    async with page_behind_proxy(browser, "echo") as (server, proxy, page):
        await start(page, transport)
        await page.run("() => channel.send('first')")
        proxy.refuse = True
        assert proxy.cut() > 0
        await page.wait("channel.state === 'recovering'")
        await page.run("() => { sendAndKeep('last'); channel.close(); }")
        await proxy.wait_for_refusals(proxy.statistics.refused + 1)
        proxy.heal()
        await page.wait("happened('close').length === 1 && fates.last === 'handled'")
        assert (await report(server))["messages"] == ["first", "last"]
        assert await page.run("() => happened('close')[0].wasClean")
