"""The lifecycle of a page: how its channel reacts to sleep, network changes and the page's end.

The first tests dispatch events to the page, which is precise and quick. The others cause the real
conditions in a Chromium configured as users have it, during conversations
(`tests/support/conversation.py`).

With ``MATRIX=full``, a hidden tab is also tested when its timers run once a minute.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browser.pages import (
    FULL,
    TRANSPORTS,
    Service,
    page_behind_proxy,
    report,
    start,
)
from tests.support.browsers.chromium import DEADLINE, Tab, tab
from tests.support.browsers.throttled_chromium import front_tab, hidden, throttled_chromium
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.figures import tell
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

MESSAGE_INTERVAL = 0.05
"""Seconds between two messages of a conversation, each way."""
SENT_TOO_LATE = "WebSocket is already in CLOSING or CLOSED state"
"""The message that Chromium writes to the console if a page sends on a closed WebSocket."""


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_waking_page_finds_dead_connection(browser: Browser, transport: str) -> None:
    """Detection by silence alone would take 45 s, which is longer than the timeout of `wait`."""
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
async def test_waking_page_keeps_working_connection(
    browser: Browser, echo: Service, transport: str
) -> None:
    async with tab(browser, echo.url) as page:
        await start(page, transport)
        await page.run("() => channel.send('first')")
        for count in range(2, 6):
            await page.run("() => { dispatchEvent(new Event('online')); }")
            await page.run("(count) => channel.send(count)", count)
            if transport != "websocket":
                # A new connection took over from the old one.
                await page.wait(f"channel.statistics().attaches === {count}")
        kinds = await page.run("() => events.map(({type}) => type).filter((t) => t !== 'message')")
        assert kinds == ["transport", "open"]
        await page.wait("seen.length === 5")
        assert (await echo.report())["messages"] == ["first", 2, 3, 4, 5]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_last_messages_arrive_after_navigation(
    browser: Browser, echo: Service, transport: str
) -> None:
    async with tab(browser, echo.url) as page:
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.run(
            """() => {
                // In its own task: the page leaves before `run` could return.
                setTimeout(() => {
                    for (let i = 0; i < 20; i++) channel.send(i);
                    location.href = "/report";
                }, 0);
            }"""
        )
        expected = ["first", *range(20)]
        await echo.until_received(expected)
        # Chromium has been seen to hang if a page is closed during a navigation.
        await page.page.wait_for_url("**/report", timeout=DEADLINE * 1000)


async def test_cached_page_pauses_and_continues(browser: Browser, echo: Service) -> None:
    async with tab(browser, echo.url) as page:
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
        assert (await echo.report())["messages"] == ["first", "second"]


# Real conditions


@pytest.fixture(scope="module")
async def throttled() -> AsyncIterator[BrowserContext]:
    async with throttled_chromium() as context:
        yield context


def conversation_server() -> Any:
    return serving("tests.support.conversation:app", "--no-access-log")


async def start_conversations(page: Tab, **options: Any) -> None:
    """Start a conversation over each transport, and check that messages flow both ways."""
    await page.run(
        "([every, transports, options]) => startTalks(every, transports, options)",
        [MESSAGE_INTERVAL, TRANSPORTS, options],
    )
    await page.wait("talks.every(({received, sent}) => received > 3 && sent > 3)")
    await check_delivery(page)


async def check_delivery(page: Tab, *, within: float = DEADLINE) -> dict[str, float]:
    """Check that everything sent so far arrives once and in order, both ways.

    Returns:
        The time that it took in seconds, by transport.
    """
    found = await page.run("() => askAll()", timeout=within)
    assert [one["wrong"] for one in found] == [[], [], []]
    assert await event_counts(page, "reset") == [0, 0, 0]
    return {name: one["seconds"] for name, one in zip(TRANSPORTS, found, strict=True)}


async def sent_by_handlers(server: Server) -> int:
    """Return the number of messages that the handlers have sent."""
    async with httpx.AsyncClient(trust_env=False) as client:
        halves = (await client.get(f"{server.url}/report")).json().values()
    return sum(half["sent"] for half in halves)


async def until_sent(server: Server, more: int) -> None:
    """Wait until the handlers have sent ``more`` further messages."""
    goal = await sent_by_handlers(server) + more
    with anyio.fail_after(DEADLINE + more * MESSAGE_INTERVAL):
        while await sent_by_handlers(server) < goal:  # noqa: ASYNC110 - another process
            await anyio.sleep(MESSAGE_INTERVAL)


async def event_counts(page: Tab, kind: str) -> list[int]:
    """Return the number of these events of each channel."""
    found: list[int] = await page.run("(kind) => countOf(kind)", kind)
    return found


async def received_counts(page: Tab) -> list[int]:
    """Return the number of messages that each channel has received."""
    found: list[int] = await page.run("() => talks.map(({received}) => received)")
    return found


async def until_received(page: Tab, more: int, *, within: float = DEADLINE) -> None:
    """Wait until each channel has received ``more`` further messages.

    The test polls, because the timers of the page are slow.
    """
    goals = [count + more for count in await received_counts(page)]
    with anyio.fail_after(within):
        while True:
            if all(
                count >= goal
                for count, goal in zip(await received_counts(page), goals, strict=True)
            ):
                return
            await anyio.sleep(MESSAGE_INTERVAL)


async def record_lifecycle(page: Tab, target: str, *kinds: str) -> None:
    """Record these events of the window or the document in `life`."""
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
    """The page is cached without a connection, and catches up when it is shown again."""
    async with conversation_server() as server, front_tab(throttled, server.url) as page:
        await start_conversations(page)
        await record_lifecycle(page, "window", "pagehide", "pageshow")
        for visit in (1, 2):
            await page.page.goto(f"{server.url}/elsewhere")
            # Fewer than a window, so the handlers do not block.
            await until_sent(server, 60)
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
            tell(f"back/forward cache, visit {visit}", back=await check_delivery(page))
            assert await event_counts(page, "resumed") == [visit] * 3
        assert await event_counts(page, "recovering") == [2] * 3


async def test_hidden_tab_with_slow_timers_stays_connected(throttled: BrowserContext) -> None:
    """Its timers run once a second. It receives messages at once, and recovers from a cut."""
    async with (
        conversation_server() as server,
        FaultProxy(server.port) as proxy,
        front_tab(throttled, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_conversations(page)
        async with hidden(page):
            await page.wait("document.visibilityState === 'hidden'")
            await until_throttled(page, 0.9)
            await until_received(page, 10)
            await check_delivery(page)
            assert await event_counts(page, "recovering") == [0, 0, 0]
            assert proxy.cut("rst") > 0
            tell("hidden tab, timers once a second", back_after_a_cut=await check_delivery(page))
            assert await page.run("() => document.visibilityState") == "hidden"
        await page.wait("document.visibilityState === 'visible'")
        await check_delivery(page)


@pytest.mark.skipif(not FULL, reason="takes minutes: MATRIX=full")
@pytest.mark.timeout(400)
async def test_hidden_tab_with_minute_timers_keeps_session() -> None:
    """Chromium does this to tabs hidden for minutes; a flag reduces that to a second.

    The tab receives messages at once. After a cut it returns before the session expires, which
    takes two minutes.
    """
    async with (
        conversation_server() as server,
        FaultProxy(server.port) as proxy,
        throttled_chromium(
            "--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1"
        ) as context,
        front_tab(context, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_conversations(page)
        async with hidden(page):
            await until_throttled(page, 10, within=150)
            await until_received(page, 10)
            assert await event_counts(page, "recovering") == [0, 0, 0]
            assert proxy.cut("rst") > 0
            back = await check_delivery(page, within=120)
            tell("hidden tab, timers once a minute", back_after_a_cut=back)
            assert await page.run("() => document.visibilityState") == "hidden"
        await check_delivery(page)


async def until_throttled(page: Tab, seconds: float, *, within: float = DEADLINE) -> None:
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
    """Its scripts do not run. Afterwards it continues, even if all connections were cut."""
    async with (
        conversation_server() as server,
        FaultProxy(server.port) as proxy,
        front_tab(throttled, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await start_conversations(page)
        await record_lifecycle(page, "document", "freeze", "resume")
        session = await throttled.new_cdp_session(page.page)
        for cut in (False, True):
            async with hidden(page):
                await session.send("Page.setWebLifecycleState", {"state": "frozen"})
                before = await received_counts(page)
                if cut:
                    assert proxy.cut("rst") > 0
                await until_sent(server, 60)
                assert await received_counts(page) == before, "it was not frozen"
                await session.send("Page.setWebLifecycleState", {"state": "active"})
            tell(f"frozen tab, {cut=}", back=await check_delivery(page))
        assert await page.run("() => life") == ["freeze", "resume"] * 2
        # A thawed page may send before it gets the close event of its socket. Nothing is lost.
        page.errors[:] = [error for error in page.errors if SENT_TOO_LATE not in error]


async def test_online_event_brings_page_back(browser: Browser) -> None:
    """The page detects that it is offline, and reconnects on the ``online`` event.

    Going offline cuts no existing connection, so this tests only the reaction to the two events.
    Retries are a minute apart, so only the event can bring the page back in time.
    """
    async with conversation_server() as server, tab(browser, server.url) as page:
        # Pretend that the page has been open for long, so that its retry budget is full.
        await page.run(
            """() => {
                const now = performance.now.bind(performance);
                performance.now = () => now() + 1e7;
            }"""
        )
        await start_conversations(page, retryBase=60, retryMax=60)
        await page.page.context.set_offline(True)
        await page.wait(
            "!navigator.onLine && talks.every(({channel}) => channel.state === 'recovering')",
        )
        await page.page.context.set_offline(False)
        tell("offline by the devtools", back=await check_delivery(page))


async def test_duplicated_tabs_do_not_interfere(throttled: BrowserContext) -> None:
    """The copy has the same storage, but its own sessions. Neither affects the other."""
    async with conversation_server() as server, front_tab(throttled, server.url) as page:
        await start_conversations(page)
        await page.run("() => sessionStorage.setItem('mark', 'copied')")
        async with throttled.expect_page(timeout=DEADLINE * 1000) as opening:
            await page.run("() => { open(location.href); }")
        copy = Tab(await opening.value)
        try:
            await copy.wait("globalThis.ready === true")
            assert await copy.run("() => sessionStorage.getItem('mark')") == "copied"
            await start_conversations(copy)
            for one in (page, copy):
                await until_received(one, 20)
                await check_delivery(one)
                assert await event_counts(one, "open") == [1, 1, 1]
                assert await event_counts(one, "recovering") == [0, 0, 0]
            copy.assert_no_errors()
        finally:
            await copy.page.close()
        await until_received(page, 20)
        await check_delivery(page)
        assert await event_counts(page, "recovering") == [0, 0, 0]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert len((await client.get(f"{server.url}/report")).json()) == 6
