"""The demo: what each scene shows over a channel, and beside it over a plain WebSocket.

A plain WebSocket loses what is sent while it is closed. The tests expect that only if the server
has told a page so: otherwise a message may have been on its way.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from playwright.async_api import Browser, expect
from websockets.asyncio.client import connect

from tests.browser.front import front, refused, stripped
from tests.browser.stage import TRANSPORTS, Stage, demo_server, stage
from tests.support.browsers.chromium import DEADLINE, tab
from tests.support.servers.uvicorn import Server

pytestmark = pytest.mark.browser

MARKUP = "<img src=x onerror=alert(1)> &amp; <b>bold</b>"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with demo_server() as one:
        yield one


# Chat


PEOPLE = ".pane[data-side=ours] .people"


async def enter(guest: Stage, name: str) -> None:
    await guest.page.get_by_label("Your name").fill(name)
    await guest.page.get_by_label("Your name").blur()
    await guest.wait_text(PEOPLE, name)


async def say(guest: Stage, text: str) -> None:
    await guest.page.get_by_label("Message", exact=True).fill(text)
    await guest.page.get_by_label("Message", exact=True).press("Enter")


async def lines(guest: Stage, prefix: str) -> list[str]:
    """Return the texts in the channel's pane that begin with the prefix, in order."""
    texts = await guest.items("ours").locator(".text").all_inner_texts()
    return [text for text in texts if text.startswith(prefix)]


async def test_chat_keeps_all_lines(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "chat") as ada, stage(browser, server, "chat") as grace:
        await enter(ada, "Ada")
        await enter(grace, "Grace")
        for transport in TRANSPORTS:
            await ada.use(transport)
            await keep_lines_over_cuts(ada, grace, transport)
            await recover_lines_of_absence(ada, grace, transport)
            await ada.expect_open(transport)
        await expect(ada.log("a new session")).to_have_count(0)
        await ada.assert_fits_phone()


async def keep_lines_over_cuts(ada: Stage, grace: Stage, transport: str) -> None:
    for index in range(3):
        await say(ada, f"{transport} ada {index}")
        await ada.press("Cut connections")
        await say(grace, f"{transport} grace {index}")
    await say(ada, f"{transport} {MARKUP}")
    for guest in (ada, grace):
        await guest.wait_item("ours", f"{transport} {MARKUP}")
        await guest.wait_item("ours", transport, 7)
        await expect(guest.page.locator(".text img, .text b, .own")).to_have_count(0)
        await guest.assert_exactly_once()
    assert await lines(ada, transport) == await lines(grace, transport)


async def recover_lines_of_absence(ada: Stage, grace: Stage, transport: str) -> None:
    await ada.expect_open(transport)
    await grace.wait_text(PEOPLE, "Ada")
    recovered = (await ada.figures("ours"))["recovered"]
    lost = (await ada.figures("plain"))["lost"]
    await ada.leave()
    if transport != "longpoll":  # there a page that is away is known by its silence only
        await grace.wait_text(PEOPLE, "Ada", 0)
    for index in range(7):
        await say(grace, f"{transport} away {index}")
    await grace.wait_item("ours", f"{transport} away 6")
    await say(ada, f"{transport} written while away")
    await ada.wait_text(".own .status", "not yet delivered")
    await ada.come_back()
    for guest in (ada, grace):
        await guest.wait_item("ours", f"{transport} written while away")
        await guest.wait_item("ours", transport, 15)
        await expect(guest.page.locator(".own")).to_have_count(0)
        await guest.assert_exactly_once()
    assert await lines(ada, transport) == await lines(grace, transport)
    assert (await ada.figures("ours"))["recovered"] >= recovered + 7
    await grace.wait_text(PEOPLE, "Ada")
    if transport == "websocket":  # else it is forbidden here, and the plain page is not connected
        # A new WebSocket is sent the latest five lines. Seven were written while it was closed.
        await ada.wait_item("plain", f"{transport} written while away")
        plain = await ada.figures("plain")
        assert plain["lost"] >= lost + 2
        assert plain["lost"] + plain["received"] == plain["sent"]


async def test_chat_cut_shows_plain_lines_twice(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "chat") as ada:
        for index in range(5):
            await say(ada, f"once {index}")
        await ada.wait_item("plain", "once 4")
        await ada.cut()
        await ada.wait_item("plain", "once 4", 2)
        await expect(ada.pane("plain")).to_have_attribute("data-doubled", "5")
        await expect(ada.pane("plain").locator(".notes")).to_have_text("5 doubled")
        await ada.wait_item("ours", "once 4")
        await ada.assert_exactly_once()


async def test_chat_late_guest_reads_history(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "chat") as ada, tab(browser) as second:
        await enter(ada, "Ada")
        for index in range(6):
            await say(ada, f"early {index}")
        await ada.wait_item("ours", "early 5")
        grace = Stage(second, ada.url)
        await grace.open()
        await grace.wait_item("ours", "early 5")
        assert await lines(grace, "") == [f"early {index}" for index in range(1, 6)]
        await grace.assert_exactly_once()
        await enter(grace, "Lovelace")
        await ada.wait_text(PEOPLE, "Lovelace")
        await second.page.goto("about:blank")
        await ada.wait_text(PEOPLE, "Lovelace", 0)


# The other scenes


async def events_pass(url: str, count: int) -> None:
    """Wait until a feed has had some events, by a plain WebSocket of this test."""
    async with connect(f"ws{url.removeprefix('http')}", proxy=None) as socket:
        with anyio.fail_after(DEADLINE):
            while count:
                count -= "n" in json.loads(await socket.recv())


@pytest.mark.parametrize("scene", ["prices", "cursors"])
async def test_feed_has_no_gap(browser: Browser, server: Server, scene: str) -> None:
    async with stage(browser, server, scene) as one:
        for transport in TRANSPORTS:
            await one.use(transport)
            await one.cut()
            await one.wait_received("ours", (await one.figures("ours"))["received"] + 2)
            await one.leave()
            before = await one.figures("ours")
            await events_pass(f"{server.url}/{scene}/plain", 4)
            assert await one.figures("ours") == before
            await one.come_back()
            await one.expect_open(transport)
            await one.wait_received("ours", before["received"] + 5)
            await one.assert_exactly_once()
            assert (await one.figures("ours"))["recovered"] >= before["recovered"] + 4
            if transport == "websocket":
                await one.wait_lost("plain", 4)
        await one.allow_plain()
        await one.wait_lost("plain", 12)
        await expect(one.pane("plain").locator(".note.lost")).to_be_visible()
        await expect(one.pane("ours").locator(".note.lost")).to_have_count(0)
        await one.assert_fits_phone()


async def test_cursors_follow_pages_that_are_here(browser: Browser, server: Server) -> None:
    async with (
        stage(browser, server, "cursors") as one,
        stage(browser, server, "cursors") as other,
    ):
        await one.wait_text(".people", "2 here: ", 2)
        await one.pane("ours").locator(".board").hover()
        await one.wait_text(".cursor", "you", 2)
        await other.wait_text(".cursor", "guest", 2)
        await one.leave()
        await other.wait_text(PEOPLE, "1 here: you")
        await other.wait_text(".cursor", "guest", 0)
        await one.come_back()
        await other.wait_text(PEOPLE, "2 here: ")


async def notify(page: Stage, text: str) -> None:
    """Send a notification by a request of the page."""
    await page.page.get_by_label("Notification", exact=True).fill(text)
    async with page.page.expect_response("**/notify/*") as answer:
        await page.press("Notify")
    assert (await answer.value).ok


async def test_notifications_all_arrive(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "notifications", user="Ann") as ann:
        texts: list[str] = []
        for transport in TRANSPORTS:
            await ann.use(transport)
            for index in range(2):
                texts.append(f"{transport} cut {index}")
                await notify(ann, texts[-1])
                await ann.press("Cut connections")
            await ann.expect_open(transport)
            recovered = (await ann.figures("ours"))["recovered"]
            await ann.leave()
            for index in range(3):
                texts.append(f"{transport} away {index}")
                await notify(ann, texts[-1])
            await ann.wait_item("ours", f"{transport} away", 0)
            await ann.come_back()
            await ann.wait_item("ours", texts[-1])
            assert await ann.items("ours").locator(".text").all_inner_texts() == texts
            await ann.assert_exactly_once()
            assert (await ann.figures("ours"))["recovered"] >= recovered + 3
            if transport == "websocket":
                await ann.wait_lost("plain", 3)
        await ann.allow_plain()
        await ann.wait_sent("plain", len(texts))
        plain = await ann.figures("plain")
        assert plain["lost"] >= 9
        assert plain["received"] + plain["lost"] == plain["sent"] == len(texts)
        await ann.wait_item("plain", "away", 0)
        await ann.assert_fits_phone()


async def test_notifications_reach_their_user_only(browser: Browser, server: Server) -> None:
    async with (
        stage(browser, server, "notifications", user="Ann") as ann,
        stage(browser, server, "notifications", user="Ben") as ben,
    ):
        await ann.page.get_by_label("To", exact=True).select_option("Ben")
        await notify(ann, "for Ben")
        for side in ("ours", "plain"):
            await ben.wait_item(side, "for Ben")
            await expect(ben.items(side).locator(".text")).to_have_text(["for Ben"])
            await expect(ben.items(side)).to_contain_text(["from Ann"])
            await expect(ann.items(side)).to_have_count(0)
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        for cookie in (b"", b"notifications=Ann." + b"0" * 64, b"notifications=\xe9"):
            answer = await client.post(
                "/notifications/notify/Ann", json={"text": "forged"}, headers={b"Cookie": cookie}
            )
            assert answer.status_code == 401, cookie


async def test_job_tells_every_step(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "job") as one:
        name = await one.page.evaluate("sessionStorage.getItem('job page')")
        for index, transport in enumerate(TRANSPORTS):
            await one.use(transport)
            before = await one.figures("ours")
            lost = (await one.figures("plain"))["lost"]
            await one.press("Start job")
            await one.wait_received("ours", before["received"] + 2)
            await one.cut()
            await one.leave()
            await events_pass(f"{server.url}/job/plain?page={name}", 2)
            await one.come_back()
            await one.expect_open(transport)
            await one.reload()
            await one.wait_lost("plain", lost + 2)
            received = (await one.figures("ours"))["received"]
            await one.wait_received("ours", received + 1)
            await one.press("Cancel job")
            await one.wait_item("ours", "cancelled", index + 1)
            await one.wait_item("plain", "cancelled", index + 1)
            texts: list[str] = await one.items("ours").evaluate_all(
                "(items) => items.map(({ firstChild }) => firstChild.textContent)"
            )
            texts = texts[before["received"] :]
            assert texts == [*(f"step {step}" for step in range(1, len(texts))), "cancelled"]
            await one.assert_exactly_once()
            assert (await one.figures("ours"))["recovered"] >= before["recovered"] + 2
        await one.assert_fits_phone()


# The panel, the same in every scene


async def test_switches_move_session_and_panel_says_why(browser: Browser, server: Server) -> None:
    async with stage(browser, server, "chat") as ada:
        status = ada.page.locator(".transport")
        await expect(status).to_have_text(
            re.compile(r"WebSocket open after [\d.]+ m?s: the first choice")
        )
        await ada.use("sse")
        await expect(status).to_have_text(
            re.compile(r"SSE open after [\d.]+ m?s: WebSocket forbidden by you")
        )
        await expect(ada.page.get_by_label("Attempts to connect").locator("li")).to_have_text(
            [
                re.compile(r"^SSE open after [\d.]+ m?s$"),
                re.compile(r"^WebSocket opened after [\d.]+ m?s, has ended: forbidden by you$"),
            ]
        )
        await ada.use("websocket")
        steps = ["longpoll", "sse", "websocket", "longpoll", "websocket"]
        for index, transport in enumerate(steps):
            await say(ada, f"step {index}")
            await ada.use(transport)
        await ada.wait_item("ours", f"step {len(steps) - 1}")
        assert await lines(ada, "step") == [f"step {index}" for index in range(len(steps))]
        await ada.assert_exactly_once()
        await expect(ada.log("is connected over long polling")).to_have_count(2)
        await expect(ada.log("a new session")).to_have_count(0)
        for transport in TRANSPORTS[:2]:
            await ada.forbid(transport)
        last = ada.page.get_by_role("checkbox", name="long polling")
        await expect(last).to_be_disabled()


async def test_absence_ends_after_ten_seconds(browser: Browser, server: Server) -> None:
    async with tab(browser) as opened:
        await opened.page.clock.install()
        ada = Stage(opened, f"{server.url}/chat/")
        await ada.open()
        await ada.leave()
        await opened.page.clock.run_for(9_000)
        await ada.expect_state("ours", "suspended")
        await opened.page.clock.run_for(2_000)
        await ada.expect_open("websocket")
        await expect(ada.log("came back")).to_have_count(1)
        await expect(opened.page.get_by_role("button", name="Go away for 10 s")).to_be_visible()


async def test_panel_tells_of_a_proxy(browser: Browser, server: Server) -> None:
    async with front(server) as (proxy, url), tab(browser) as opened:
        proxy.faults.update(websocket=stripped, sse=refused)
        await opened.page.goto(f"{url}/chat/")
        ada = Stage(opened, url)
        await ada.expect_open("longpoll")
        await expect(ada.page.locator(".transport")).to_have_text(
            re.compile("long polling open after .*: WebSocket and SSE failed when last tried")
        )
        await expect(ada.page.get_by_label("Attempts to connect").locator("li")).to_have_text(
            [
                re.compile("^long polling open after"),
                re.compile("^SSE failed after .*: no answer"),
                re.compile("^WebSocket failed after .* 426: .* a proxy .* may have stripped it$"),
            ]
        )


async def test_restart_is_told_by_reset_only(browser: Browser, server: Server) -> None:
    """A restart of the process loses the session; the page is told so, by the channel only."""
    async with stage(browser, server, "chat") as ada:
        await enter(ada, "Ada")
        await ada.press("Robot")
        await ada.wait_item("ours", "line 2 of 20")
        run = await server_runs(server)
        await ada.press("Restart server")
        await server.until_log("Uvicorn running on", run + 1)
        notice = ada.page.locator(".notice:visible")
        await expect(notice).to_have_text(
            re.compile("a new session, because the server has restarted; what was lost is unknown")
        )
        await ada.expect_open()
        await ada.expect_state("plain", "open")
        await expect(ada.pane("plain").locator(".notice")).to_be_hidden()
        await expect(ada.pane("plain").locator(".notes")).to_have_text("since the restart")
        await expect(ada.pane("ours").locator(".people")).to_have_text("1 here: Ada")
        await say(ada, "after the restart")
        await ada.wait_item("ours", "after the restart")
        await ada.assert_exactly_once()


async def server_runs(server: Server) -> int:
    return sum("Uvicorn running on" in text for text in server.log)


async def test_restart_is_refused_to_foreign_pages(server: Server) -> None:
    runs = await server_runs(server)
    own = server.url
    rebound = f"http://evil.example:{server.port}"
    async with httpx.AsyncClient(trust_env=False) as client:
        for headers in (
            {},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": rebound, "Host": rebound.removeprefix("http://")},
            {"Origin": f"{own}0"},
        ):
            answer = await client.post(f"{own}/restart", headers=headers)
            assert answer.status_code == 403, headers
        assert (await client.get(f"{own}/restart")).status_code == 404
        assert (await client.get(own)).status_code == 200
    assert await server_runs(server) == runs
