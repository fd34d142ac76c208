"""The differences that docs/existing-websocket.md lists, each beside the browser's own class.

The docstring of a test is the first column of the document's table.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.test_fallback_websocket import APP, FAILED, report
from tests.support.browsers.chromium import Tab, tab
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

DOCUMENT = Path(__file__).parents[2] / "docs/existing-websocket.md"
BOTH = ("native", "websocket")
MOUNTS = {"native": "/bare", "websocket": "/ws"}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving(APP, "--no-access-log", clean=False) as server:
        yield server


@pytest.fixture(scope="module")
async def page(browser: Browser, server: Server) -> AsyncIterator[Tab]:
    async with tab(browser, server.url) as page:
        yield page
        page.errors = [text for text in page.errors if "the server's handler failed" not in text]


async def on_both(page: Tab, script: str) -> list[Any]:
    """Return what the script finds for the browser's own class, and for ours.

    It is a function of the path of a mount, and of the transport, and may use `until`.
    """
    until = """const until = async (condition) => {
        while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
    };"""
    run = f"([mount, transport]) => {{ {until} return ({script})(mount, transport); }}"
    return [await page.run(run, [MOUNTS[kind], kind]) for kind in BOTH]


async def test_cut_connection_closes_native_only(browser: Browser, server: Server) -> None:
    """a lost connection"""
    async with (
        FaultProxy(server.port) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await page.run(
            """() => {
                globalThis.native = dial("/bare/echo", "native");
                globalThis.ours = dial("/ws/echo");
            }"""
        )
        await page.wait("native.readyState === 1 && ours.readyState === 1")
        proxy.cut("rst")
        await page.wait("native.readyState === 3 && ours.channel.statistics().reconnects")
        # Without an error: Chromium fires that only if it cannot connect.
        assert await page.run("() => native.events") == [["open"], FAILED[1]]
        assert await page.run("() => [ours.readyState, ours.events]") == [1, [["open"]]]


async def test_events_are_not_trusted(page: Tab) -> None:
    """`isTrusted` of an event"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo", transport);
            const event = await new Promise((resolve) => (socket.onopen = resolve));
            socket.close();
            return event.isTrusted;
        }""",
    )
    assert found == [True, False]


async def test_extensions_are_empty(page: Tab) -> None:
    """`extensions`"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo", transport);
            await until(() => socket.readyState);
            socket.close();
            return socket.extensions.split(";")[0];
        }""",
    )
    assert found == ["permessage-deflate", ""]


async def test_url_with_password_is_refused(page: Tab) -> None:
    """a user or a password in the URL"""
    found = await on_both(
        page,
        """(mount, transport) => {
            try {
                dial(`ws://user:secret@${location.host}${mount}/echo`, transport).close();
            } catch (error) {
                return error.code;
            }
        }""",
    )
    assert found == [None, "invalid_argument"]


async def test_slash_at_end_of_path_is_ignored(page: Tab) -> None:
    """a slash at the end of the path"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo/", transport);
            await until(() => socket.readyState & 1);
            socket.close();
            return socket.readyState;
        }""",
    )
    assert found == [3, 2]


async def test_message_above_limit_fails_socket(page: Tab, server: Server) -> None:
    """a message of more than `Limits(message=262144)` bytes"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(`${mount}/echo?name=large-${transport}`, transport);
            await until(() => socket.readyState);
            socket.send("small");
            socket.send("x".repeat(262_143));
            socket.send("late");
            await until(() => socket.events.length === 4 || socket.readyState === 3);
            socket.close();
            return socket.events.map(([type, data]) => [type, data?.length ?? data]);
        }""",
    )
    native = [["open"], ["message", 5], ["message", 262_143], ["message", 4]]
    closed = [["error"], ["close", 1006]]
    assert [[x for x in one if x is not None] for one in found[0]] == native
    events = [[x for x in one if x is not None] for one in found[1]]
    assert [one for one in events if one[0] != "message"] == [["open"], *closed]
    assert await report(server, "large-websocket", 3) == [
        ["connect", []],
        "small",
        ["disconnect", 1008, ""],
    ]


async def test_buffered_amount_waits_for_application(page: Tab) -> None:
    """`bufferedAmount`"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/deaf", transport);
            await until(() => socket.readyState);
            socket.send("hello");
            // Another exchange with the server takes longer than that.
            const other = dial(mount + "/echo?greet=x", transport);
            await until(() => other.events.length === 2);
            const { bufferedAmount } = socket;
            for (const one of [socket, other]) one.close();
            return bufferedAmount;
        }""",
    )
    await page.run("() => fetch('/release')")
    assert found == [0, 5]


async def test_application_gets_1000_for_no_code(page: Tab, server: Server) -> None:
    """`close()` without a code"""
    await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(`${mount}/echo?name=no-code-${transport}`, transport);
            await until(() => socket.readyState);
            socket.close();
            await until(() => socket.readyState === 3);
        }""",
    )
    found = [(await report(server, f"no-code-{kind}", 2))[1] for kind in BOTH]
    assert found == [["disconnect", 1005, ""], ["disconnect", 1000, ""]]


async def test_failed_application_closes_with_1011(page: Tab) -> None:
    """an exception in the application"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo", transport);
            await until(() => socket.readyState);
            socket.send("raise");
            await until(() => socket.readyState === 3);
            return socket.events.at(-1).slice(0, 2).concat(socket.events.at(-1)[3]);
        }""",
    )
    assert found == [["close", 1006, False], ["close", 1011, True]]


async def test_some_codes_of_application_become_1008(page: Tab) -> None:
    """the codes 1002, 1003, 1007, 1009 and 1010 of the application"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo", transport);
            await until(() => socket.readyState);
            socket.send("close 1003 text only");
            await until(() => socket.readyState === 3);
            return socket.events.at(-1);
        }""",
    )
    native, ours = ["close", 1003, "text only", True], ["close", 1008, "1003: text only", True]
    assert found == [native, ours]


async def test_explicit_undefined_code_has_reason(page: Tab) -> None:
    """`close(undefined, "reason")`"""
    found = await on_both(
        page,
        """async (mount, transport) => {
            const socket = dial(mount + "/echo", transport);
            await until(() => socket.readyState);
            try {
                socket.close(undefined, "why");
            } catch ({ name }) {
                return name;
            }
            await until(() => socket.readyState === 3);
            return socket.events.at(-1);
        }""",
    )
    assert found == ["InvalidAccessError", ["close", 1000, "why", True]]


async def test_application_learns_later_that_page_left(browser: Browser, server: Server) -> None:
    """a page that goes away without a close"""
    async with tab(browser, server.url) as page:
        await page.run(
            """() => {
                globalThis.native = dial("/bare/echo?name=left-native", "native");
                globalThis.ours = dial("/expiring/echo?name=left-ours", "websocket");
            }"""
        )
        await page.wait("native.readyState === 1 && ours.readyState === 1")
    assert (await report(server, "left-native", 2))[1][1] in (1001, 1005, 1006)
    assert (await report(server, "left-ours", 2))[1] == ["disconnect", 1006, "expired"]


async def test_close_in_outage_delivers_or_fails(browser: Browser, server: Server) -> None:
    """`close()` during an outage"""
    async with (
        FaultProxy(server.port) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await page.run(
            """() => {
                globalThis.late = dial("/expiring/echo");
                globalThis.ours = dial("/ws/echo?name=outage");
            }"""
        )
        await page.wait("late.readyState === 1 && ours.readyState === 1")
        proxy.refuse = True
        proxy.cut()
        await page.run("() => { ours.send('last'); ours.close(3000); late.close(3000); }")
        await page.wait("late.readyState === 3")
        proxy.heal()
        await page.wait("ours.readyState === 3")
        assert await page.run("() => late.events") == [["open"], *FAILED]
        assert (await page.run("() => ours.events"))[-1] == ["close", 3000, "", True]
    assert (await report(server, "outage", 3))[1:] == ["last", ["disconnect", 3000, ""]]


def test_every_difference_has_a_test() -> None:
    text = DOCUMENT.read_text("utf-8").partition("| | the browser's `WebSocket` |")[2]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", text.partition("\n\n")[0], re.MULTILINE)
    tests = [one for name, one in globals().items() if name.startswith("test_")]
    assert sorted(rows) == sorted(one.__doc__ for one in tests if one.__doc__)
