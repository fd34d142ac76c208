"""A page communicates although an intermediary breaks some transports (`tests.browser.front`).

With ``MATRIX=full``, each fault of WebSocket meets each fault of SSE.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.front import (
    Fault,
    black_hole,
    front,
    headers_and_mute,
    mute,
    refused,
    stripped,
    upgraded_and_mute,
)
from tests.browser.pages import FULL, Service, page_behind_proxy, report, talk, talk_at_once
from tests.browser.pages import TRANSPORTS as ALL
from tests.support.browsers.chromium import AnyTab, tab

pytestmark = pytest.mark.browser

FAULTS = [refused, mute, stripped, upgraded_and_mute]
OF_STREAMS = [mute, headers_and_mute]
PAIRS = list(product(FAULTS, OF_STREAMS) if FULL else zip(FAULTS, OF_STREAMS * 2, strict=True))


async def explained(page: AnyTab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.run("() => channel.explain()")
    return found


@pytest.mark.parametrize("fault", FAULTS)
async def test_page_falls_back_to_sse(browser: Browser, echo: Service, fault: Fault) -> None:
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = fault
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "sse"
        assert (await echo.report())["started"] == 1


@pytest.mark.parametrize(("fault", "stream"), PAIRS)
async def test_page_falls_back_to_polls(
    browser: Browser, echo: Service, fault: Fault, stream: Fault
) -> None:
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        one.faults.update(websocket=fault, sse=stream)
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "longpoll"
        assert (await echo.report())["started"] == 1


async def test_page_falls_back_if_syns_are_dropped(browser: Browser, echo: Service) -> None:
    """The WebSocket goes to a port that drops SYNs; everything else goes to the server."""
    async with black_hole() as port, tab(browser, echo.url) as page:
        await page.run(
            """(port) => {
                const { WebSocket } = globalThis;
                globalThis.WebSocket = class extends WebSocket {
                    constructor(url) { super(url.replace(/:\\d+/, ":" + port)); }
                };
            }""",
            port,
        )
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "sse"


async def test_page_upgrades_to_websocket_without_gap(browser: Browser, echo: Service) -> None:
    """SSE is used while WebSocket fails; a probe then switches back in mid-conversation."""
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = refused
        await talk(page, {"fallbackFor": 1})
        assert await page.run("() => channel.transport") == "sse"
        await page.run(
            """() => {
                globalThis.talking = (async () => {
                    let count = 0;
                    for (let left = 50; channel.transport !== "websocket" || left-- > 0; ) {
                        channel.send(++count);
                        await new Promise((resolve) => setTimeout(resolve, 5));
                    }
                    await channel.send("last");
                    return count;
                })();
            }"""
        )
        one.faults.clear()
        count = await page.run("() => talking", timeout=60)
        await page.wait("seen.at(-1) === 'last'")
        assert await page.run("() => seen") == ["first", *range(1, count + 1), "last"]
        kinds = await page.run("() => events.map(({type}) => type).filter((t) => t !== 'message')")
        assert kinds == ["transport", "open", "transport"], "no gap"
        assert (await echo.report())["started"] == 1


async def test_explain_gives_reasons_of_fallback(browser: Browser, echo: Service) -> None:
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        one.faults.update(websocket=stripped, sse=headers_and_mute)
        await talk(page, {"openTimeout": 2})
        await page.wait("channel.explain().every(({outcome}) => outcome !== 'pending')")
        await page.wait("channel.explain()[0].reason.includes('426')")
        websocket, stream, poll = await explained(page)
        assert websocket["reason"] == (
            "refused; the server answers 426: this URL only accepts WebSocket upgrades, and the "
            "request was not one: a proxy on the way may have stripped it"
        )
        assert stream["reason"].startswith("headers after ")
        assert stream["reason"].endswith(": something buffers it")
        assert (poll["outcome"], poll["reason"]) == ("open", "")


async def test_next_page_begins_with_transport_that_worked(browser: Browser, echo: Service) -> None:
    async with front(echo.server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = mute
        await talk(page, {"openTimeout": 2})
        await page.wait("channel.explain()[0].outcome === 'failed'")
        await page.goto(url)
        await talk(page)
        [first, *_] = await explained(page)
        assert first["transport"] == "sse"


async def test_racing_transports_under_cuts_lose_nothing(
    browser: Browser,
) -> None:
    """With head starts of 5 ms and early probes, attaches overlap constantly, with cuts as well."""
    count, chunk = 10_000, 100
    async with page_behind_proxy(browser, "campaign", seed=6) as (server, proxy, page):

        async def chunk_done(done: int) -> None:
            # Forbid a different set each time, so that the session keeps moving.
            allowed = [ALL, ALL[1:], ALL, ALL[2:], ALL, ALL[::2]][done % 6]
            await page.page.evaluate("(allowed) => { channel.transports = allowed; }", allowed)
            if done % 2:
                proxy.cut_after(proxy.random.randint(1, 4000), every=bool(done % 4 == 1))

        await page.page.expose_function("chunkDone", chunk_done)
        result = await page.run(
            "(options) => campaign(options)",
            {
                "count": count,
                "chunk": chunk,
                "headStart": 0.005,
                "fallbackFor": 0.2,
                "retryBase": 0.02,
                "retryMax": 0.05,
            },
            timeout=90,
        )
        seen = await report(server)
        print(  # noqa: T201 - the figures are the point
            f"\n{proxy.statistics.cuts} cuts, {result['statistics']['attaches']} attaches, "
            f"{result['statistics']['attempts']}"
        )
        assert (result["received"], result["wrong"]) == (count, [])
        assert (seen["received"], seen["wrong"]) == (count, [])
        assert (seen["started"], result["resets"], result["closed"]) == (1, [], 0)
        assert proxy.statistics.cuts >= 20
        assert result["statistics"]["attaches"] >= 50
