"""The chat example, used as a visitor would, with every switch; and the page of the README."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.front import front, headers_and_mute, stripped
from tests.contracts.test_documents import STARLETTE, blocks, serving_code
from tests.support.browsers.chromium import tab
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

TRANSPORTS = ["websocket", "sse", "longpoll"]
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long polling"}
MARKUP = "<img src=x onerror=alert(1)> &amp; <b>bold</b>"


def app() -> Any:
    return serving("examples.chat.app:app", "--no-access-log")


class Guest:
    """The page of one visitor."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name

    async def enter(self, url: str) -> None:
        await self.page.goto(url)
        await self.page.get_by_label("Your name").fill(self.name)
        await self.page.get_by_label("Your name").blur()
        await expect(self.page.locator("#state")).to_have_text("open")

    async def say(self, text: str) -> None:
        await self.page.get_by_label("Message", exact=True).fill(text)
        await self.page.get_by_label("Message", exact=True).press("Enter")

    def message(self, text: str) -> Locator:
        """Return the element that shows the message with this text."""
        exactly = self.page.get_by_text(text, exact=True)
        return self.page.locator(".message").filter(has=exactly)

    def log(self, text: str) -> Locator:
        """Return the log entries that contain the text."""
        return self.page.get_by_label("What happened").get_by_role("listitem").filter(has_text=text)

    async def shown_messages(self) -> list[str]:
        """Return all messages shown, in order."""
        return await self.page.locator(".message .text").all_inner_texts()

    async def press(self, name: str | re.Pattern[str]) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def switch(self, name: str, on: bool) -> None:
        await self.page.get_by_role("switch", name=name).set_checked(on)

    async def expect_open(self, transport: str) -> None:
        await expect(self.page.locator("#transport")).to_have_text(NAMES[transport])
        await expect(self.page.locator("#state")).to_have_text("open")

    async def use(self, transport: str) -> None:
        """Forbid every transport that is preferred to this one."""
        for better in TRANSPORTS[: TRANSPORTS.index(transport)]:
            await self.switch(f"Forbid {NAMES[better]}", True)
        await self.expect_open(transport)

    async def expect_delivered(self, text: str) -> None:
        await expect(self.message(text)).to_have_attribute("data-state", "sent")
        await expect(self.message(text)).to_have_count(1)


async def expect_same_conversation(one: Guest, other: Guest) -> None:
    """Wait until both pages show the same messages in the same order.

    A page moves its own message into place when the echo arrives, which is after delivery.
    """
    with anyio.fail_after(30):
        while True:
            if await one.shown_messages() == await other.shown_messages():
                return
            await anyio.sleep(0.02)


@asynccontextmanager
async def two_guests(browser: Browser, server: Server) -> AsyncIterator[tuple[Guest, Guest]]:
    async with tab(browser) as one, tab(browser) as two:
        guests = Guest(one.page, "Ada"), Guest(two.page, "Grace")
        for guest in guests:
            await guest.enter(server.url)
        for guest in guests:
            await expect(guest.page.locator("#people")).to_have_text("2 here")
        yield guests


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_guests_chat(browser: Browser, transport: str) -> None:
    async with app() as server, two_guests(browser, server) as (ada, grace):
        await ada.use(transport)
        for index in range(10):
            await ada.say(f"ada {index}")
            await grace.say(f"grace {index}")
        await ada.say(MARKUP)
        for index in range(10):
            await ada.expect_delivered(f"ada {index}")
            await grace.expect_delivered(f"grace {index}")
        await ada.expect_delivered(MARKUP)
        for guest in (ada, grace):
            await expect(guest.page.locator(".message")).to_have_count(21)
            await expect(guest.page.locator(".message .text img, .message .text b")).to_have_count(
                0
            )
            await expect(guest.page.locator(".recovered")).to_have_count(0)
        await expect_same_conversation(ada, grace)
        assert MARKUP in await grace.shown_messages()
        await expect(grace.message("ada 0").locator(".from")).to_have_text("Ada")
        await ada.expect_open(transport)
        await grace.expect_open("websocket")


async def test_late_guest_reads_history(browser: Browser) -> None:
    async with app() as server, tab(browser) as one, tab(browser) as two:
        ada, grace = Guest(one.page, "Ada"), Guest(two.page, "Grace")
        await ada.enter(server.url)
        await ada.say("first")
        await ada.say("second")
        await ada.expect_delivered("second")
        await grace.enter(server.url)
        await expect(grace.page.locator(".message")).to_have_count(2)
        assert await grace.shown_messages() == ["first", "second"]
        await one.page.goto("about:blank")
        await expect(grace.page.locator("#people")).to_have_text("1 here")


async def test_switches_move_conversation(browser: Browser) -> None:
    async with app() as server, two_guests(browser, server) as (ada, grace):
        websocket, sse = "Forbid WebSocket", "Forbid SSE"
        steps = [
            (websocket, True, "sse"),
            (sse, True, "longpoll"),
            (sse, False, "sse"),
            (websocket, False, "websocket"),
            (sse, True, "websocket"),
            (websocket, True, "longpoll"),
            (websocket, False, "websocket"),
        ]
        for index, (name, on, transport) in enumerate(steps):
            await ada.say(f"before {index}")
            await ada.switch(name, on)
            await grace.say(f"meanwhile {index}")
            await ada.expect_open(transport)
            await ada.expect_delivered(f"before {index}")
            await grace.expect_delivered(f"meanwhile {index}")
        for guest in (ada, grace):
            await expect(guest.page.locator(".message")).to_have_count(2 * len(steps))
        await expect_same_conversation(ada, grace)
        await expect(ada.log("Connected over long polling")).to_have_count(2)
        await expect(ada.log("The session was lost")).to_have_count(0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cut_loses_and_repeats_nothing(browser: Browser, transport: str) -> None:
    async with app() as server, two_guests(browser, server) as (ada, grace):
        await ada.use(transport)
        cuts = await ada.log("cut by you").count()
        for index in range(5):
            await ada.say(f"mine {index}")
            await ada.press("Cut the connection now")
            await grace.say(f"yours {index}")
            await expect(ada.log("cut by you")).to_have_count(cuts + index + 1)
            await ada.expect_open(transport)
        for index in range(5):
            await ada.expect_delivered(f"mine {index}")
            await expect(ada.message(f"yours {index}")).to_have_count(1)
        for guest in (ada, grace):
            await expect(guest.page.locator(".message")).to_have_count(10)
        await expect_same_conversation(ada, grace)
        await expect(ada.log("The session was lost")).to_have_count(0)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_sent_while_away_are_recovered(browser: Browser, transport: str) -> None:
    async with app() as server, two_guests(browser, server) as (ada, grace):
        await ada.use(transport)
        await ada.say("Back in a minute")
        await ada.expect_delivered("Back in a minute")
        await ada.press("Go away for 10 s")
        await expect(ada.page.locator("#state")).to_have_text("suspended")
        await ada.say("Written while away")
        await expect(ada.message("Written while away")).to_have_attribute("data-state", "pending")
        for text in ("Ada?", "She is gone"):
            await grace.say(text)
            await grace.expect_delivered(text)
        assert await ada.shown_messages() == ["Back in a minute", "Written while away"]
        await ada.press(re.compile("Come back now"))
        await ada.expect_open(transport)
        await ada.expect_delivered("Written while away")
        await expect(ada.message("She is gone")).to_have_count(1)
        for text in ("Written while away", "Ada?", "She is gone"):
            await expect(ada.message(text).locator(".recovered")).to_have_count(1)
        await expect(ada.page.locator(".recovered")).to_have_count(3)
        await expect(ada.log("2 missed messages came after")).to_have_count(1)
        await ada.say("Here again")
        await ada.expect_delivered("Here again")
        await expect(ada.page.locator(".recovered")).to_have_count(3)
        await expect(grace.page.locator(".message")).to_have_count(5)
        await expect_same_conversation(ada, grace)
        await expect(grace.page.locator(".recovered")).to_have_count(0)


async def test_suspended_guest_returns_after_ten_seconds(browser: Browser) -> None:
    async with app() as server, tab(browser) as one:
        await one.page.clock.install()
        ada = Guest(one.page, "Ada")
        await ada.enter(server.url)
        await ada.press("Go away for 10 s")
        await expect(ada.page.locator("#state")).to_have_text("suspended")
        await one.page.clock.run_for(9_000)
        await expect(ada.page.locator("#state")).to_have_text("suspended")
        await one.page.clock.run_for(2_000)
        await ada.expect_open("websocket")
        await expect(ada.log("You came back")).to_have_count(1)
        await expect(ada.page.get_by_role("button", name="Go away for 10 s")).to_be_enabled()


async def test_failed_message_says_why_and_can_be_resent(browser: Browser) -> None:
    async with app() as server, two_guests(browser, server) as (ada, grace):
        await ada.say("Before")
        await ada.expect_delivered("Before")
        await server.kill()
        await expect(ada.page.locator("#state")).to_have_text("recovering")
        await ada.say("Lost")
        await expect(ada.message("Lost")).to_have_attribute("data-state", "pending")
        await server.start()
        await expect(ada.log("the server has restarted")).to_have_count(1)
        await expect(grace.log("the server has restarted")).to_have_count(1)
        await expect(ada.message("Lost")).to_contain_text("Not delivered")
        await expect(ada.message("Before")).to_have_attribute("data-state", "sent")
        await expect(grace.page.locator("#people")).to_have_text("2 here")
        await ada.message("Lost").get_by_role("button", name="Send again").click()
        await ada.expect_delivered("Lost")
        await expect(grace.message("Lost")).to_have_count(1)


async def test_page_shows_attempts_to_connect(browser: Browser) -> None:
    async with app() as server, tab(browser) as one:
        ada = Guest(one.page, "Ada")
        await ada.enter(server.url)
        attempts = ada.page.get_by_label("Attempts to connect").get_by_role("listitem")
        await expect(attempts).to_have_text([re.compile(r"WebSocket open, \d+ ms")])
        await ada.use("sse")
        await expect(attempts).to_have_text(
            [re.compile(r"SSE open, \d+ ms"), re.compile(r"WebSocket was open, .* was forbidden")]
        )


async def test_page_shows_proxy_that_buffers(browser: Browser) -> None:
    async with app() as server, front(server) as (one, url), tab(browser) as opened:
        one.faults.update(websocket=stripped, sse=headers_and_mute)
        ada = Guest(opened.page, "Ada")
        await ada.page.goto(url)
        await ada.expect_open("longpoll")
        attempts = ada.page.get_by_label("Attempts to connect").get_by_role("listitem")
        await expect(attempts).to_have_text(
            [
                re.compile(r"long polling open, \d+ ms"),
                re.compile(
                    r"SSE failed, \d+ ms, headers after .* no body .*: something buffers it"
                ),
                re.compile(r"WebSocket failed, .* 426: .* a proxy on the way may have stripped it"),
            ],
        )


async def test_narrow_page_shows_everything(browser: Browser) -> None:
    async with app() as server, tab(browser) as one:
        await one.page.set_viewport_size({"width": 320, "height": 640})
        await one.page.goto(server.url)
        await expect(one.page.locator("#state")).to_have_text("open")
        panel = one.page.get_by_role("complementary", name="Connection")
        await expect(panel).to_be_hidden()
        await one.page.get_by_role("button", name="Connection").click()
        await expect(panel).to_be_visible()
        await expect(one.page.get_by_role("button", name="Go away for 10 s")).to_be_in_viewport()
        assert await one.run("() => document.documentElement.scrollWidth") == 320


async def test_readme_example_works(browser: Browser, tmp_path: Path) -> None:
    [code] = blocks("js")
    async with serving_code(tmp_path, STARLETTE) as server, tab(browser) as one:
        # Any page of this server will do.
        await one.page.goto(f"{server.url}/chat/client.js")
        await one.run(
            "() => { globalThis.shown = []; globalThis.show = (what) => shown.push(what); }"
        )
        await one.page.add_script_tag(content=code, type="module")
        await one.wait("shown.length >= 3")
        message, state, explained = await one.run("() => shown")
        assert (message, state) == ({"text": "hello"}, "open")
        assert [(each["transport"], each["outcome"]) for each in explained] == [
            ("websocket", "open")
        ]
