"""`onechannel/react` and the documents' code for Vue and Svelte, in Chromium.

The pages come from Vite's development server, with the packed npm package and StrictMode. Most
tests are of mistakes that the hooks of other libraries have made.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from tests.consumers.install import run
from tests.consumers.vite_pages import (
    FRAMEWORKS,
    Site,
    document_url,
    numbers,
    showing,
)
from tests.support.browsers.chromium import Tab

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]


# The channel of a component


async def test_strict_mode_opens_one_session(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.expect_state("open")
        [session] = await page.until_sessions(("a", True))
        assert session["messages"] == ["joined"]
        seen = await page.seen()
        assert (seen["channels"], seen["told"]) == (1, ["open"])


async def test_unmount_delivers_sends_and_ends_session(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.tab.run("() => { channel.send('last'); change({mounted: false}); }")
        [session] = await page.until_sessions(("a", False))
        assert session["messages"] == ["joined", "last"]
        await page.tab.wait("channel.state === 'closed'")
        await page.change(mounted=True)
        await page.until_sessions(("a", False), ("a", True))
        await page.expect_list("joined")


async def test_unmount_before_open_ends_session(shared: Tab, site: Site) -> None:
    """What was sent in an effect is delivered, although nothing was connected."""
    async with showing(shared, site, mounted=False) as page:
        await page.tab.run(
            """() => {
                const end = () => window.channel ? change({mounted: false}) : setTimeout(end);
                change({mounted: true});
                end();
            }"""
        )
        [session] = await page.until_sessions(("a", False))
        assert session["messages"] == ["joined"]


async def test_inline_options_reconnect_nothing(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_state("open")
        for tick in numbers(1, 20):
            await page.change(tick=tick)
        await expect(page.tab.page.locator("#tick")).to_have_text("20")
        await page.tab.run("() => channel.send('after')")
        await page.expect_list("joined", "after")
        assert await page.tab.run("() => channel.statistics().attaches") == 1
        seen = await page.seen()
        assert seen["channels"] == 1
        assert seen["heard"][-1] == [20, "after"], "a listener must see the last rendering"
        await page.until_sessions(("a", True))


async def test_last_credentials_are_presented(shared: Tab, site: Site) -> None:
    """Another user gets another session, and does not see the messages of the first one."""
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.change(name="bob")
        await page.tab.run("() => channel.reconnect()")
        # The session of the other user waits for that user.
        await page.until_sessions(("a", True), ("a", True))
        await page.expect_list()
        await page.push(1, 3)
        await page.expect_list(1, 2, 3)
        assert (await page.seen())["told"] == ["open", "reset unknown", "open"]


async def test_url_changes_open_one_session_each(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.tab.run(
            """() => {
                const texts = Array.from({length: 100}, (_, index) => `to a ${index}`);
                window.sent = Promise.all(texts.map((text) => channel.send(text)));
                change({room: "b"});
            }"""
        )
        await page.expect_list("joined")
        first, second = await page.until_sessions(("a", False), ("b", True))
        assert first["messages"] == ["joined", *(f"to a {index}" for index in range(100))]
        assert second["messages"] == ["joined"]
        assert len(await page.tab.run("() => sent")) == 100, "each send must settle"
        await page.push(1, 3)
        await page.expect_list("joined", 1, 2, 3)
        await page.change(room=None)
        await page.expect_list()
        await page.expect_state("connecting")
        await page.until_sessions(("a", False), ("b", False))
        await page.change(room="b")
        await page.expect_list("joined")
        await page.until_sessions(("a", False), ("b", False), ("b", True))


async def test_close_by_server_is_told_after_outage(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.tab.run("() => channel.suspend()")
        await page.expect_state("suspended")
        await site.ask("POST", "/close", page=page.name)
        await page.tab.run("() => channel.resume()")
        await page.expect_state("closed")
        assert (await page.seen())["told"] == ["open", "close 4001 as asked"]
        await page.change(key=1)
        await page.expect_state("open")
        await page.until_sessions(("a", False), ("a", True))


async def test_invalid_option_reaches_error_boundary(shared: Tab, site: Site) -> None:
    async with showing(shared, site, mounted=False) as page:
        await page.change(transports=["carrier pigeon"], mounted=True)
        await expect(page.tab.page.locator("#error")).to_contain_text("transports")
        assert page.tab.errors, "React writes the error to the console"
        page.tab.errors.clear()


# Messages


@pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])
async def test_burst_over_cuts_is_shown_once(shared: Tab, site: Site, transport: str) -> None:
    """Lists are mounted, hidden and rendered slowly meanwhile."""
    async with showing(shared, site, transports=[transport], slow=5) as page:
        await page.expect_list("joined")
        for part in range(5):
            first = 1 + part * 400
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(page.push, first, first + 399)
                await page.tab.wait("(count) => seen.heard.length > count", first + 10)
                site.proxy.cut()
                await page.tab.run(
                    """(part) => {
                        change({late: part % 2 === 0, listHidden: part % 2 === 1});
                        changeLater({tick: part});
                    }""",
                    part,
                )
        await page.change(listHidden=False, late=True)
        await page.expect_list("joined", *numbers(1, 2000))
        await page.expect_list("joined", *numbers(1, 2000), of="late")
        await expect(page.tab.page.locator("#list-count")).to_have_text("2001")
        seen = await page.seen()
        assert seen["wrong"] == []
        assert [message for _, message in seen["heard"]] == ["joined", *numbers(1, 2000)]
        assert seen["told"] == ["open"], "the session must survive"
        await page.until_sessions(("a", True))


async def test_burst_makes_few_lists_and_renderings(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.tab.run("() => { seen.renders = 0; channel.suspend(); }")
        await page.push(1, 200)
        await page.tab.run(
            """() => {
                const slice = (window.slice = Array.prototype.slice);
                window.lists = 0;
                Array.prototype.slice = function (...bounds) {
                    if (this[0] === "joined") lists++;
                    return slice.apply(this, bounds);
                };
                channel.resume();
            }"""
        )
        await page.expect_list("joined", *numbers(1, 200))
        await page.tab.run("() => { Array.prototype.slice = window.slice; }")
        assert 0 < await page.tab.run("() => lists") < 40
        # StrictMode renders twice, and the effect that counts renders once more.
        assert (await page.seen())["renders"] < 80


async def test_late_components_show_all_messages(shared: Tab, site: Site) -> None:
    """Among them those that arrived while nothing took them."""
    async with showing(shared, site, bare=True) as page:
        await page.expect_state("open")
        await page.tab.run("() => channel.send('first')")
        await page.push(1, 500)
        await page.tab.wait("channel.statistics().received === 502")
        await page.change(bare=False)
        await page.expect_list("joined", "first", *numbers(1, 500))
        await page.change(late=True)
        await page.expect_list("joined", "first", *numbers(1, 500), of="late")
        await page.expect_list(498, 499, 500, of="last")


# What React does


async def test_suspended_owner_keeps_session(shared: Tab, site: Site) -> None:
    async with showing(shared, site, waiting=True) as page:
        await expect(page.tab.page.locator("#root")).to_have_text("waiting")
        await page.until_sessions()
        await page.change(waiting=False)
        await page.expect_list("joined")
        await page.change(waiting=True)
        await expect(page.tab.page.locator("#root")).to_contain_text("waiting")
        await page.push(1, 10)
        await page.tab.wait("seen.heard.length === 11")
        await page.change(waiting=False)
        await page.expect_list("joined", *numbers(1, 10))
        await page.until_sessions(("a", True))
        assert (await page.seen())["channels"] == 1


async def test_hidden_list_misses_nothing(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.change(listHidden=True)
        await page.push(1, 100)
        await page.tab.wait("seen.heard.length === 101")
        await page.change(listHidden=False)
        await page.expect_list("joined", *numbers(1, 100))
        await expect(page.tab.page.locator("#list-count")).to_have_text("101")


async def test_hidden_owner_closes_and_opens_again(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.change(hidden=True)
        await page.until_sessions(("a", False))
        await page.change(hidden=False)
        await page.until_sessions(("a", False), ("a", True))
        await page.expect_list("joined")


async def test_fast_refresh_keeps_session(shared: Tab, site: Site) -> None:
    source = anyio.Path(site.folder) / "src/room.tsx"
    text = await source.read_text("utf-8")
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await source.write_text(text.replace("<h1>before", "<h1>after"), "utf-8")
        try:
            await expect(page.tab.page.locator("h1")).to_have_text("after")
            await page.tab.run("() => channel.send('edited')")
            await page.expect_list("joined", "edited")
            await page.until_sessions(("a", True))
        finally:
            await source.write_text(text, "utf-8")


async def test_page_in_cache_continues_session(shared: Tab, site: Site) -> None:
    async with showing(shared, site) as page:
        await page.expect_list("joined")
        await page.tab.run(
            "() => { dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true})); }"
        )
        await page.expect_state("recovering")
        await page.push(1, 10)
        await page.tab.run(
            "() => { dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})); }"
        )
        await page.expect_list("joined", *numbers(1, 10))
        await page.expect_state("open")
        await page.tab.goto(site.url)
        await page.until_sessions(("a", False))


async def test_server_rendered_page_hydrates(shared: Tab, site: Site) -> None:
    async with showing(shared, site, hydrated=True) as page:
        await page.expect_list("joined")
        await page.until_sessions(("a", True))


async def test_server_renders_without_page(project: Path) -> None:
    shown = await run("node", "server.mjs", folder=project)
    assert shown == '<output>[null,"connecting",[]]</output>\n'


async def test_types_of_hooks_and_documents_compile(project: Path) -> None:
    await run("node", "node_modules/typescript/bin/tsc", "-p", ".", folder=project)


@pytest.mark.parametrize(
    "body",
    [
        test_strict_mode_opens_one_session,
        test_unmount_delivers_sends_and_ends_session,
        test_url_changes_open_one_session_each,
        test_suspended_owner_keeps_session,
        partial(test_burst_over_cuts_is_shown_once, transport="websocket"),
        test_server_rendered_page_hydrates,
    ],
    ids=["strict", "unmount", "url", "suspense", "burst", "hydrate"],
)
async def test_react_18_does_the_same(
    react_18: tuple[Tab, Site], body: Callable[[Tab, Site], Awaitable[None]]
) -> None:
    await body(*react_18)


# The documents


@pytest.mark.parametrize(("path", "websocket"), [("string", "pending"), ("changed", "failed")])
async def test_vite_without_websocket_carries_stream(
    shared: Tab, site: Site, path: str, websocket: str
) -> None:
    """What docs/browser.md says of a target that is a string, and of ``changeOrigin``."""
    await shared.goto(site.url)
    seen = await shared.run(
        """async (path) => {
            const { Channel } = await import("/@id/onechannel");
            const channel = new Channel(path);
            await channel.send("hello");
            const attempts = channel.explain().map((each) => `${each.transport} ${each.outcome}`);
            await channel.close();
            return attempts;
        }""",
        f"/{path}",
    )
    assert seen == [f"websocket {websocket}", "sse open"]
    shared.errors.clear()


@pytest.mark.parametrize("show", FRAMEWORKS)
async def test_documented_chat_converses(shared: Tab, site: Site, show: str) -> None:
    await shared.goto(document_url(site, show, document="1", component="Chat"))
    await expect(shared.page.locator("p")).to_have_text("open")
    for text in ("hello", "again"):
        await shared.page.get_by_placeholder("Message").fill(text)
        await shared.page.get_by_placeholder("Message").press("Enter")
    await expect(shared.page.locator("li")).to_have_text(["hello", "again"])
    await shared.run("() => unmount()")
    await site.until_no_chat()
    shared.assert_no_errors()


async def test_documented_chats_tell_of_restart(shared: Tab, site: Site) -> None:
    """Why nothing connects, and why the list is empty again."""
    chats = []
    for show in FRAMEWORKS:
        chat = Tab(await shared.page.context.new_page())
        await chat.goto(document_url(site, show, document="1", component="Chat"))
        await chat.page.get_by_placeholder("Message").fill("hello")
        await chat.page.get_by_placeholder("Message").press("Enter")
        await expect(chat.page.locator("li")).to_have_text(["hello"])
        chats.append(chat.page)
    await site.hubs.kill()
    try:
        for page in chats:
            await expect(page.locator("p")).to_have_text(re.compile("^recovering: HTTP 50"))
    finally:
        await site.hubs.start()
    for page in chats:
        await expect(page.locator("p")).to_have_text("open: a new session (restarted)")
        await expect(page.locator("li")).to_have_count(0)
        await page.close()
    shared.errors.clear()


async def test_documented_provider_shares_channel(shared: Tab, site: Site) -> None:
    shown = {"provider": "PricesProvider", "component": ["Price", "Connection", "Price"]}
    await shared.goto(document_url(site, "react", document="2", **shown))
    await expect(shared.page.locator("#root")).to_have_text("12open12")
    shared.assert_no_errors()


async def test_documented_reducer_shows_tokens(shared: Tab, site: Site) -> None:
    await shared.goto(document_url(site, "react", document="3", component="Assistant"))
    await shared.page.get_by_role("button", name="Ask").click()
    await expect(shared.page.locator("p").first).to_have_text("forty-two")
    shared.assert_no_errors()
