"""The page of a scene of the demo, and the server of the demo."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Locator, expect

from tests.support.browsers.chromium import Tab, tab
from tests.support.servers.uvicorn import Host, Server, free_port

TRANSPORTS = ["websocket", "sse", "longpoll"]
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long polling"}
_LISTENS = "Uvicorn running on"


@asynccontextmanager
async def demo_server() -> AsyncIterator[Server]:
    """Run the demo as `make demo` does. At the end its log must be clean."""
    port = free_port()
    python = ("env", f"PORT={port}", sys.executable)
    server = Server(
        "examples.demo", port=port, host=Host("scripts.demo", "", _LISTENS, _LISTENS, 1, python)
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    server.assert_clean()


class Stage:
    """A page that shows a scene over a channel (`ours`) and over a plain WebSocket (`plain`)."""

    def __init__(self, opened: Tab, url: str) -> None:
        self.tab = opened
        self.page = opened.page
        self.url = url

    async def open(self, transport: str = "websocket", user: str | None = None) -> None:
        """Load the page, sign in, and forbid every transport that is preferred to this one."""
        await self.page.goto(self.url)
        if user is not None:
            await self.press(f"Sign in as {user}")
        await self.expect_open()
        await self.expect_state("plain", "open")
        await self.use(transport)

    async def use(self, transport: str) -> None:
        index = TRANSPORTS.index(transport)
        for position in (*range(index, 3), *range(index)):  # one must be allowed at any time
            await self.forbid(TRANSPORTS[position], position < index)
        await self.expect_open(transport)

    async def forbid(self, transport: str, on: bool = True) -> None:
        name = NAMES[transport]
        box = self.page.get_by_role("group", name="Forbid").get_by_role("checkbox", name=name)
        await box.set_checked(on)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=re.compile(name)).click()

    def pane(self, side: str) -> Locator:
        return self.page.locator(f".pane[data-side={side}]")

    def items(self, side: str) -> Locator:
        """Return what a pane lists, without the marks of gaps."""
        return self.pane(side).locator(".list > li:not(.gap)")

    def log(self, text: str) -> Locator:
        """Return the entries of the log that contain the text."""
        return self.page.locator(".log li").filter(has_text=text)

    async def figures(self, side: str) -> dict[str, int]:
        """Return the counts of a pane: sent, received, recovered, lost, doubled, late."""
        data: dict[str, str] = await self.pane(side).evaluate("({ dataset }) => ({ ...dataset })")
        return {name: int(value) for name, value in data.items() if value.isdecimal()}

    async def wait_text(self, selector: str, text: str = "", count: int | None = None) -> None:
        """Wait until this number of elements contain the text; by default, at least one.

        It looks 50 times a second, and so sees a change earlier than playwright's `expect`.
        """
        await self.tab.wait(
            """([selector, text, count]) => {
                const all = [...document.querySelectorAll(selector)];
                const found = all.filter(({ textContent }) => textContent.includes(text)).length;
                return count === null ? found > 0 : found === count;
            }""",
            [selector, text, count],
        )

    async def wait_item(self, side: str, text: str, count: int = 1) -> None:
        """Wait until a pane lists this number of items with the text."""
        await self.wait_text(f".pane[data-side={side}] .list > li:not(.gap)", text, count)

    async def expect_open(self, transport: str | None = None) -> None:
        name = NAMES[transport] if transport else ""
        await self.wait_text(".pane[data-side=ours] .state", f"open over {name}")

    async def expect_state(self, side: str, *states: str) -> None:
        """Wait until the connection of a pane is in one of the states."""
        pane = f".pane[data-side={side}]"
        await self.wait_text(",".join(f"{pane}[data-state={state}]" for state in states))

    async def wait_received(self, side: str, events: int) -> None:
        """Wait until a pane has received at least this number of events."""
        await self._wait_figure(side, "received", events)

    async def wait_sent(self, side: str, events: int) -> None:
        """Wait until a pane knows of at least this number of events, received or not."""
        await self._wait_figure(side, "sent", events)

    async def wait_lost(self, side: str, events: int) -> None:
        """Wait until at least this number of events is known to be missing in a pane."""
        await self._wait_figure(side, "lost", events)

    async def _wait_figure(self, side: str, name: str, least: int) -> None:
        await self.tab.wait(
            "([side, name, least]) =>"
            " Number(document.querySelector(`.pane[data-side=${side}]`).dataset[name]) >= least",
            [side, name, least],
        )

    async def cut(self) -> None:
        """Cut both connections, and wait until the channel has resumed its session."""
        count = await self.log("resumed its session").count()
        await self.press("Cut connections")
        await self.wait_text(".log li", "resumed its session", count + 1)

    async def reload(self) -> None:
        """Reload the page. The transports that were forbidden are allowed again."""
        await self.press("Reload page")
        await self.wait_text(".log li", "plain WebSocket is connected", 1)
        await self.expect_open()

    async def leave(self) -> None:
        """Go away, and wait until both connections are closed."""
        await self.press("Go away")
        await self.expect_state("ours", "suspended")
        await self.expect_state("plain", "away", "forbidden")

    async def come_back(self) -> None:
        await self.press("Come back")
        await self.expect_open()

    async def allow_plain(self) -> None:
        """Allow all transports, and wait until the plain WebSocket is connected again."""
        await self.use("websocket")
        await self.expect_state("plain", "open")

    async def assert_exactly_once(self) -> None:
        """Fail if the channel's pane has lost, doubled or reordered an event."""
        figures = await self.figures("ours")
        assert figures["received"] == figures["sent"] > 0, figures
        assert figures["lost"] == figures["doubled"] == figures["late"] == 0, figures

    async def assert_fits_phone(self) -> None:
        """Fail if a phone does not show both panes and every button of the panel at once."""
        for width, height in ((390, 844), (320, 640)):
            await self.page.set_viewport_size({"width": width, "height": height})
            for side in ("ours", "plain"):
                await expect(self.pane(side).locator(".content")).to_be_in_viewport(ratio=0.9)
            for name in ("Cut connections", "Go away", "Reload page", "Restart server"):
                button = self.page.get_by_role("button", name=name)
                await expect(button).to_be_in_viewport(ratio=0.9)
            sizes = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
            assert await self.page.evaluate(sizes) == [width, height]


@asynccontextmanager
async def stage(
    browser: Browser,
    server: Server,
    scene: str,
    transport: str = "websocket",
    user: str | None = None,
) -> AsyncIterator[Stage]:
    """Open a scene in a tab of its own. At the end, its page must have had no errors."""
    async with tab(browser) as opened:
        one = Stage(opened, f"{server.url}/{scene}/")
        await one.open(transport, user)
        yield one
