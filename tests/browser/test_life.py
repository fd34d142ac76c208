"""The life of a page: what its channel makes of sleep, of networks that change, and of its end.

What the page is told by events of ours comes first, to the point and quick; behind it the things
themselves, in a Chromium as users have it, with talks (`tests/support/conversation.py`) that go on
meanwhile.

With ``MATRIX=full`` a hidden tab is also seen once its timers run once in a minute.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browser.pages import (
    TRANSPORTS,
    apps,
    page_behind_proxy,
    report,
    start,
    until_report,
)
from tests.support.browsers.chromium import DEADLINE, Tab, tab
from tests.support.browsers.throttled_chromium import front_tab, hidden, throttled_chromium
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.figures import tell
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

FULL = os.environ.get("MATRIX") == "full"
EVERY = 0.05
"""Seconds between two messages of a talk, each way."""
SENT_TOO_LATE = "WebSocket is already in CLOSING or CLOSED state"
"""What Chromium writes on the console then."""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_waking_page_finds_dead_connection(browser: Browser, transport: str) -> None:
    """By silence alone it would take 45 s, which is longer than `wait` waits."""
    async with page_behind_proxy(browser, "echo") as (server, proxy, page):
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1 && posting === 0")
        proxy.stall()
        await page.run("() => { document.dispatchEvent(new Event('visibilitychange')); }")
        await page.wait("channel.state === 'recovering'")
        await page.run("() => { sendAndKeep('second'); }")
        proxy.cut()
        proxy.heal()
        await page.wait("fates.second === 'handled' && seen.length === 2")
        assert (await report(server))["messages"] == ["first", "second"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_waking_page_keeps_working_connection(browser: Browser, transport: str) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.run("() => channel.send('first')")
        for count in range(2, 6):
            await page.run("() => { dispatchEvent(new Event('online')); }")
            await page.run("(count) => channel.send(count)", count)
            if transport != "websocket":
                # A new connection beside the old one took over.
                await page.wait(f"channel.statistics().attaches === {count}")
        kinds = await page.run("() => events.map(({type}) => type).filter((t) => t !== 'message')")
        assert kinds == ["transport", "open"]
        await page.wait("seen.length === 5")
        assert (await report(server))["messages"] == ["first", 2, 3, 4, 5]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_last_messages_arrive_though_page_navigates_away(
    browser: Browser, transport: str
) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.run(
            """() => {
                // In a turn of its own: the page goes before it could answer.
                setTimeout(() => {
                    for (let i = 0; i < 20; i++) channel.send(i);
                    location.href = "/report";
                }, 0);
            }"""
        )
        expected = ["first", *range(20)]
        await until_report(server, lambda seen: seen["messages"] == expected)
        # Chromium was seen to hang if a page is closed during its navigation.
        await page.page.wait_for_url("**/report", timeout=DEADLINE * 1000)


async def test_cached_page_pauses_and_continues(browser: Browser) -> None:
    async with apps("echo") as server, tab(browser, server.url) as page:
        await page.run("() => void start()")
        await page.run("() => channel.send('first')")
        await page.run(
            "() => { dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true})); }"
        )
        assert await page.run("() => channel.state") == "recovering"
        await page.run("() => { sendAndKeep('second'); }")
        await page.run(
            "() => { dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})); }"
        )
        await page.wait("fates.second === 'handled' && channel.state === 'open'")
        assert (await report(server))["messages"] == ["first", "second"]


# The things themselves


@pytest.fixture(scope="module")
async def throttled() -> AsyncIterator[BrowserContext]:
    async with throttled_chromium() as context:
        yield context


def talking() -> Any:
    return serving("tests.support.conversation:app", "--no-access-log")


async def start_talks(page: Tab, **options: Any) -> None:
    """Begin one over each transport, and see that they go on both ways."""
    await page.run(
        "([every, transports, options]) => startTalks(every, transports, options)",
        [EVERY, TRANSPORTS, options],
    )
    await page.wait("talks.every(({received, sent}) => received > 3 && sent > 3)")
    await whole(page)


async def whole(page: Tab, *, within: float = DEADLINE) -> dict[str, float]:
    """Check that everything sent so far arrives once and in order, both ways.

    Returns:
        The seconds that it took, by transport.
    """
    found = await page.run("() => askAll()", timeout=within)
    assert [one["wrong"] for one in found] == [[], [], []]
    assert await count_of(page, "reset") == [0, 0, 0]
    return {name: one["seconds"] for name, one in zip(TRANSPORTS, found, strict=True)}


async def said(server: Server) -> int:
    """How many messages the handlers have sent."""
    async with httpx.AsyncClient(trust_env=False) as client:
        halves = (await client.get(f"{server.url}/report")).json().values()
    return sum(half["sent"] for half in halves)


async def until_said(server: Server, more: int) -> None:
    """Wait until the handlers have sent ``more`` messages more."""
    goal = await said(server) + more
    with anyio.fail_after(DEADLINE + more * EVERY):
        while await said(server) < goal:  # noqa: ASYNC110 - it is another process
            await anyio.sleep(EVERY)


async def count_of(page: Tab, kind: str) -> list[int]:
    """How often the channels have had that event."""
    found: list[int] = await page.run("(kind) => countOf(kind)", kind)
    return found


async def heard(page: Tab) -> list[int]:
    """How many messages the page has received."""
    found: list[int] = await page.run("() => talks.map(({received}) => received)")
    return found


async def until_heard(page: Tab, more: int, *, within: float = DEADLINE) -> None:
    """Wait until each channel has received ``more`` messages more; the page has slow timers."""
    goals = [count + more for count in await heard(page)]
    with anyio.fail_after(within):
        while True:
            if all(count >= goal for count, goal in zip(await heard(page), goals, strict=True)):
                return
            await anyio.sleep(EVERY)


async def note_life(page: Tab, target: str, *kinds: str) -> None:
    """Keep these events of the page or of its document in `life`."""
    await page.run(
        """([target, kinds]) => {
            globalThis.life = [];
            for (const kind of kinds)
                globalThis[target].addEventListener(kind, ({type, persisted}) =>
                    life.push(persisted === undefined ? type : [type, persisted]));
        }""",
        [target, kinds],
    )


async def test_page_continues_from_back_forward_cache(throttled: BrowserContext) -> None:
    """The page is kept as it is, without a connection, and catches up as it is shown again."""
    async with talking() as server, front_tab(throttled, server.url) as page:
        await start_talks(page)
        await note_life(page, "window", "pagehide", "pageshow")
        for visit in (1, 2):
            await page.page.goto(f"{server.url}/elsewhere")
            # Less than a window's: the handlers go on meanwhile.
            await until_said(server, 60)
            await page.run("() => { setTimeout(() => history.back(), 0); }")
            await page.wait("globalThis.ready === true")
            assert (
                await page.run("() => globalThis.life")
                == [
                    ["pagehide", True],
                    ["pageshow", True],
                ]
                * visit
            ), await page.run(
                "() => `not kept: ${JSON.stringify("
                "performance.getEntriesByType('navigation')[0].notRestoredReasons)}`"
            )
            tell(f"back/forward cache, visit {visit}", back=await whole(page))
            assert await count_of(page, "resumed") == [visit] * 3
        assert await count_of(page, "recovering") == [2] * 3


async def test_hidden_tab_with_slow_timers_keeps_talking(throttled: BrowserContext) -> None:
    """Its timers run once in a second: it hears all as it comes, and comes back after a cut."""
    async with (
        talking() as server,
        FaultProxy(server.port) as proxy,
        front_tab(throttled, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_talks(page)
        async with hidden(page):
            await page.wait("document.visibilityState === 'hidden'")
            await until_slow(page, 0.9)
            await until_heard(page, 10)
            await whole(page)
            assert await count_of(page, "recovering") == [0, 0, 0]
            assert proxy.cut("rst") > 0
            tell("hidden tab, a timer in a second", back_after_a_cut=await whole(page))
            assert await page.run("() => document.visibilityState") == "hidden"
        await page.wait("document.visibilityState === 'visible'")
        await whole(page)


@pytest.mark.skipif(not FULL, reason="takes minutes: MATRIX=full")
@pytest.mark.timeout(400)
async def test_hidden_tab_with_minute_timers_keeps_session() -> None:
    """As Chromium has it for tabs that were hidden for minutes; here for seconds.

    What comes in is heard at once. After a cut it is back before the session expires, which takes
    two minutes.
    """
    async with (
        talking() as server,
        FaultProxy(server.port) as proxy,
        throttled_chromium(
            "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"
        ) as context,
        front_tab(context, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_talks(page)
        async with hidden(page):
            await until_slow(page, 10, within=150)
            await until_heard(page, 10)
            assert await count_of(page, "recovering") == [0, 0, 0]
            assert proxy.cut("rst") > 0
            back = await whole(page, within=120)
            tell("hidden tab, a timer in a minute", back_after_a_cut=back)
            assert await page.run("() => document.visibilityState") == "hidden"
        await whole(page)


async def until_slow(page: Tab, seconds: float, *, within: float = DEADLINE) -> None:
    """Wait until a due timer of the hidden page is this many seconds late."""
    await page.run(
        """(seconds) => new Promise((resolve) => {
            let before = performance.now();
            const look = () => {
                const now = performance.now();
                if (now - before > seconds * 1000) return resolve();
                before = now;
                setTimeout(look, 0);
            };
            look();
        })""",
        seconds,
        timeout=within,
    )


async def test_frozen_tab_continues_when_thawed(throttled: BrowserContext) -> None:
    """No script of it runs. It continues afterwards, even if all connections were cut meanwhile."""
    async with (
        talking() as server,
        FaultProxy(server.port) as proxy,
        front_tab(throttled, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_talks(page)
        await note_life(page, "document", "freeze", "resume")
        session = await throttled.new_cdp_session(page.page)
        for cut in (False, True):
            async with hidden(page):
                await session.send("Page.setWebLifecycleState", {"state": "frozen"})
                before = await heard(page)
                if cut:
                    assert proxy.cut("rst") > 0
                await until_said(server, 60)
                assert await heard(page) == before, "it was not frozen"
                await session.send("Page.setWebLifecycleState", {"state": "active"})
            tell(f"frozen tab, {cut=}", back=await whole(page))
        assert await page.run("() => life") == ["freeze", "resume"] * 2
        # What thaws may send before it is told that its socket has ended. Nothing is lost by it.
        page.errors[:] = [error for error in page.errors if SENT_TOO_LATE not in error]


async def test_online_event_brings_page_back(browser: Browser) -> None:
    """Told that it is offline the page sees that nothing passes; told otherwise it is back at once.

    Of what stands this cuts nothing, so it is a test of how the two events are heard, no more. The
    retries are a minute apart: it is the event that brings the page back.
    """
    async with talking() as server, tab(browser, server.url) as page:
        # A page that was open for long has its whole budget of attempts.
        await page.run(
            """() => {
                const now = performance.now.bind(performance);
                performance.now = () => now() + 1e7;
            }"""
        )
        await start_talks(page, retryBase=60, retryMax=60)
        await page.page.context.set_offline(True)
        await page.wait(
            "!navigator.onLine && talks.every(({channel}) => channel.state === 'recovering')",
        )
        await page.page.context.set_offline(False)
        tell("offline by the devtools", back=await whole(page))


async def test_duplicated_talking_tabs_do_not_interfere(throttled: BrowserContext) -> None:
    """The copy has the same storage, but its own sessions; neither disturbs the other."""
    async with talking() as server, front_tab(throttled, server.url) as page:
        await start_talks(page)
        await page.run("() => sessionStorage.setItem('mark', 'copied')")
        async with throttled.expect_page(timeout=DEADLINE * 1000) as opening:
            await page.run("() => { open(location.href); }")
        double = Tab(await opening.value)
        try:
            await double.wait("globalThis.ready === true")
            assert await double.run("() => sessionStorage.getItem('mark')") == "copied"
            await start_talks(double)
            for one in (page, double):
                await until_heard(one, 20)
                await whole(one)
                assert await count_of(one, "open") == [1, 1, 1]
                assert await count_of(one, "recovering") == [0, 0, 0]
            double.assert_no_errors()
        finally:
            await double.page.close()
        await until_heard(page, 20)
        await whole(page)
        assert await count_of(page, "recovering") == [0, 0, 0]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert len((await client.get(f"{server.url}/report")).json()) == 6
