"""What a page sends while it is unloaded arrives: up to 64 KiB, in a `pagehide` listener too.

With ``MATRIX=full``, it does so from each listener over each transport.
"""

from __future__ import annotations

from itertools import product

import pytest
from playwright.async_api import Browser

from tests.browser.pages import FULL, TRANSPORTS, Service
from tests.support.browsers.chromium import DEADLINE, tab

pytestmark = pytest.mark.browser

COUNT = 62
"""Messages of 1 KiB: with their frame and the final POST's first line, nearly 64 KiB."""

ORDERS = ["before", "after", "around", "later"]
CASES = [*((order, "websocket") for order in ORDERS), ("after", "sse"), ("around", "longpoll")]
if FULL:
    CASES = list(product(ORDERS, TRANSPORTS))

LEAVE = """([order, transport, count]) => {
    const send = (begin, end) => {
        for (let i = begin; i < end; i++) channel.send(`${i} `.padEnd(1024, "x"));
    };
    const sendAll = () => send(0, count);
    if (order === "before") addEventListener("pagehide", sendAll);
    if (order === "around") addEventListener("pagehide", () => send(0, count / 2));
    start({ transports: [transport] });
    if (order === "around") addEventListener("pagehide", () => send(count / 2, count));
    if (order === "after") addEventListener("pagehide", sendAll);
    if (order === "later") addEventListener("visibilitychange", sendAll);
    return channel.send("first");
}"""


@pytest.mark.parametrize(("order", "transport"), CASES)
async def test_sends_in_listener_of_page_arrive(
    browser: Browser, echo: Service, order: str, transport: str
) -> None:
    """The listener was added before or after that of the channel, or two share the messages.

    With ``later``, it is a listener of ``visibilitychange``, which follows ``pagehide``.
    """
    count = COUNT // 2 - 1 if order == "around" else COUNT
    async with tab(browser, echo.url) as page:
        await page.run(LEAVE, [order, transport, count])
        # In its own task: the page leaves before `run` could return.
        await page.run("() => void setTimeout(() => { location.href = '/report'; }, 0)")
        expected = ["first", *(f"{i} ".ljust(1024, "x") for i in range(count))]
        seen = await echo.until(lambda seen: len(seen["messages"]) >= len(expected))
        assert seen["messages"] == expected
        # Chromium has been seen to hang if a page is closed during a navigation.
        await page.page.wait_for_url("**/report", timeout=DEADLINE * 1000)


async def test_sends_of_closed_tab_arrive(browser: Browser, echo: Service) -> None:
    async with tab(browser, echo.url) as first:
        page = await first.page.context.new_page()
        await page.goto(echo.url)
        await page.wait_for_function("window.ready === true")
        await page.evaluate(
            """async () => {
                globalThis.channel = new Channel("/chat", { transports: ["sse"] });
                addEventListener("pagehide", () => void channel.send("x".repeat(60000)));
                await channel.send("first");
            }"""
        )
        await page.close(run_before_unload=True)
        await echo.until_received(["first", "x" * 60000])
