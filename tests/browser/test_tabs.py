"""Many tabs of one browser, and a tab that is reloaded.

Over HTTP/1.1, Chromium opens six connections to a server for all tabs of a profile together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser

from tests.browser.pages import TRANSPORTS, Service, apps, report
from tests.support.browsers.chromium import Tab, tab
from tests.support.servers.nginx import nginx

pytestmark = pytest.mark.browser

FALLBACKS = [["sse", "longpoll"], ["sse"], ["longpoll"]]

OPEN_ACROSS_RELOADS = """async () => {
    const { acrossReloads } = await import("/chat/reload.js");
    globalThis.seen = [];
    globalThis.events = [];
    globalThis.channel = await acrossReloads(Channel, "/chat", OPTIONS);
    for (const type of ["open", "resumed", "reset"])
        channel.addEventListener(type, () => events.push(type));
    channel.addEventListener("message", ({ data }) => seen.push(data));
}"""


def open_across_reloads(transport: str) -> str:
    """Return the script that opens the channel with `acrossReloads`."""
    return OPEN_ACROSS_RELOADS.replace(
        "OPTIONS", f"{{ transports: ['{transport}'], retryBase: 0.05 }}"
    )


@asynccontextmanager
async def tabs_of_one_browser(browser: Browser, url: str, count: int) -> AsyncIterator[list[Tab]]:
    """Open tabs that share a profile, and so its connection limit."""
    async with tab(browser, url) as first:
        tabs = [first]
        for _ in range(count - 1):
            tabs.append(Tab(await first.page.context.new_page()))
            await tabs[-1].goto(url)
        yield tabs
        for one in tabs[1:]:
            one.assert_no_errors()


async def exchange(page: Tab, message: str) -> None:
    """Send a message, and wait until it is handled and echoed."""
    await page.run("(message) => void sendAndKeep(message)", message)
    await page.wait("(message) => seen.includes(message) && fates[message] === 'handled'", message)


@pytest.mark.parametrize("transports", FALLBACKS[::2], ids=lambda names: "-".join(names))
async def test_eight_tabs_exchange_messages_at_the_same_time(
    browser: Browser, transports: list[str]
) -> None:
    """No tab waits for another's connection: no timer expires before the deadline of the test."""
    async with (
        apps("patient") as server,
        tabs_of_one_browser(browser, server.url, 8) as tabs,
    ):

        async def first(index: int) -> None:
            await tabs[index].run(
                "(transports) => void start({ transports, openTimeout: 300 })", transports
            )
            await exchange(tabs[index], f"first of {index}")

        async def later(index: int) -> None:
            await exchange(tabs[index], f"later of {index}")

        for part in (first, later):
            async with anyio.create_task_group() as group:
                for index in range(8):
                    group.start_soon(part, index)
        held = [await page.run("() => channel.transport") for page in tabs]
        if transports[0] == "sse":
            assert sorted(held) == ["longpoll"] * 4 + ["sse"] * 4
        assert sorted((await report(server))["messages"]) == sorted(
            f"{part} of {index}" for part in ("first", "later") for index in range(8)
        )


OPEN_MANY = """(transports) => {
    globalThis.answers = [];
    globalThis.channels = Array.from({ length: 7 }, (_, index) => {
        const channel = new Channel("/chat", { transports, retryBase: 0.05 });
        channel.addEventListener("message", () => answers.push(index));
        void channel.send(index);
        return channel;
    });
}"""


async def transports_of_seven(page: Tab, allowed: list[str]) -> list[str]:
    """Open seven channels at once, and exchange a message over each. Return their transports."""
    await page.run(OPEN_MANY, allowed)
    await page.wait("answers.length === 7")
    # Another request of the page gets its answer too.
    assert await page.run("async () => (await fetch('/report')).status") == 200
    found: list[str] = await page.run("() => channels.map(({ transport }) => transport)")
    return sorted(found)


@pytest.mark.parametrize("allowed", FALLBACKS, ids=lambda names: "-".join(names))
async def test_channels_of_page_share_four_slots(
    browser: Browser, echo: Service, allowed: list[str]
) -> None:
    """Whatever transports an application allows: seven streams would block the origin."""
    async with tab(browser, echo.url) as page:
        found = await transports_of_seven(page, allowed)
        held = await page.run("async () => (await navigator.locks.query()).held.length")
        assert held == 4
        if allowed[0] == "sse":
            assert found == ["longpoll"] * 3 + ["sse"] * 4
            explained = await page.run(
                "() => channels.find((one) => one.transport === 'longpoll').explain()"
            )
            assert all("too many tabs" in one["reason"] for one in explained)


async def test_channels_over_http2_need_no_slots(browser: Browser, tmp_path: Path) -> None:
    async with (
        apps("echo") as server,
        nginx(server.port, tmp_path) as proxy,
        tab(browser, proxy.url("http2"), ignore_https_errors=True) as page,
    ):
        assert await transports_of_seven(page, ["sse"]) == ["sse"] * 7
        held = await page.run("async () => (await navigator.locks.query()).held.length")
        assert held == 0


async def test_closed_tab_releases_its_slot(browser: Browser) -> None:
    async with apps("echo") as server, tabs_of_one_browser(browser, server.url, 5) as tabs:
        for index, page in enumerate(tabs):
            # Probe for the better transport soon.
            await page.run(
                "() => void start({ transports: ['sse', 'longpoll'], fallbackFor: 0.2 })"
            )
            await exchange(page, f"from {index}")
        last = tabs[-1]
        assert await last.run("() => channel.transport") == "longpoll"
        reasons = await last.run("() => channel.explain().map(({ reason }) => reason)")
        assert any("too many tabs" in reason for reason in reasons)
        await tabs[1].page.close()
        # It looks again after 15 s, so let its clock show that they have passed.
        await last.run(
            """() => {
                const now = performance.now.bind(performance);
                performance.now = () => now() + 15_000;
            }"""
        )
        await exchange(last, "later")
        await last.wait("channel.transport === 'sse'")
        await exchange(last, "streamed")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_continues_after_reload(
    browser: Browser, echo: Service, transport: str
) -> None:
    async with tab(browser, echo.url) as page:
        await page.run(open_across_reloads(transport))
        await page.run("() => channel.send('before')")
        await page.wait("seen.length === 1")
        session = await page.run("() => channel.id")
        for round in range(3):
            # Not awaited: this page or the next one delivers it.
            await page.run("(message) => void channel.send(message)", f"last word {round}")
            await page.page.reload()
            await page.wait("window.ready === true")
            await page.run(open_across_reloads(transport))
            await page.run("(message) => channel.send(message)", f"again {round}")
            await page.wait("(message) => seen.includes(message)", f"again {round}")
            assert await page.run("() => [events, channel.id]") == [["resumed"], session]
        seen = await echo.until(lambda seen: len(seen["messages"]) == 7)
        assert seen["started"] == 1, "there must be only one session"
        words = [f"{what} {round}" for round in range(3) for what in ("last word", "again")]
        assert seen["messages"] == ["before", *words]
        await page.run("() => channel.close()")


async def test_duplicated_tab_has_its_own_session(browser: Browser, echo: Service) -> None:
    """This includes a tab copied while no page used the session."""
    async with tab(browser, echo.url) as page:
        await page.run(open_across_reloads("websocket"))
        await page.run("() => channel.send('one')")
        session = await page.run("() => channel.id")
        # This page opens no channel, so the saved session stays in the tab's storage.
        await page.page.reload()
        await page.wait("window.ready === true")
        async with page.page.expect_popup() as opened:
            await page.run("() => void open(location.href)")
        copy = Tab(await opened.value)
        await copy.wait("window.ready === true")
        kept = "() => Object.keys(sessionStorage).length"
        assert [await page.run(kept), await copy.run(kept)] == [1, 1]
        for one in (page, copy):
            await one.run(open_across_reloads("websocket"))
            await one.wait("channel.state === 'open'")
        assert await page.run("() => channel.id") == session
        assert await copy.run("() => channel.id") != session
        for name, one in (("original", page), ("copy", copy)):
            await one.run("(name) => channel.send(name)", name)
            await one.wait("(name) => seen.includes(name)", name)
        assert (await echo.report())["started"] == 2
        copy.assert_no_errors()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_late_copy_of_tab_does_not_take_session(
    browser: Browser, echo: Service, transport: str
) -> None:
    """The session saved in the copy is stale by then, so the copy gets a new one."""
    async with tab(browser, echo.url) as page:
        await page.run(open_across_reloads(transport))
        await page.run("() => channel.send('one')")
        await page.page.reload()
        await page.wait("window.ready === true")
        async with page.page.expect_popup() as opened:
            await page.run("() => void open(location.href)")
        copy = Tab(await opened.value)
        await copy.wait("window.ready === true")
        await page.run(open_across_reloads(transport))
        await page.run("() => channel.send('two')")
        await page.wait("seen.includes('two')")
        await page.page.goto("about:blank")
        await copy.run(open_across_reloads(transport))
        await copy.wait("events.includes('reset') && channel.state === 'open'")
        await copy.run("() => channel.send('three')")
        await copy.wait("seen.includes('three')")
        assert await copy.run("() => [events, seen]") == [["reset", "open"], ["three"]]
        seen = await echo.report()
        assert seen["messages"] == ["one", "two", "three"]
        assert seen["started"] == 2
        await copy.run("() => channel.close()")
        copy.assert_no_errors()
