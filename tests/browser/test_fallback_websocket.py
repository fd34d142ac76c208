"""`FallbackWebSocket` in Chromium: cuts, changes of transport, the end of a session, `install`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.pages import TRANSPORTS
from tests.support.browsers.chromium import DEADLINE, tab
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

APP = "tests.support.existing_websockets:app"
FAILED = [["error"], ["close", 1006, "", False]]
README = (Path(__file__).parents[2] / "client_js/README.md").read_text("utf-8")
[POLICY] = re.findall(r"^Content-Security-Policy: (.*)$", README, re.MULTILINE)

_names = iter(range(1_000_000))


@pytest.fixture
def name() -> str:
    """A name under which the endpoint reports what it sees in this test."""
    return f"test-{next(_names)}"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving(APP, "--no-access-log") as server:
        yield server


async def report(server: Server, name: str, length: int = 0) -> list[Any]:
    """Return what the endpoint has seen under the name, once it has seen as much as that."""
    async with httpx.AsyncClient(trust_env=False) as client:
        with anyio.fail_after(DEADLINE):
            while True:
                seen: list[Any] = (await client.get(f"{server.url}/report")).json().get(name, [])
                if len(seen) >= length:
                    return seen
                await anyio.sleep(0.02)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cuts_and_changes_of_transport_do_not_show(
    browser: Browser, server: Server, name: str, transport: str
) -> None:
    async with (
        FaultProxy(server.port) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await page.run(
            """([name, transport]) => {
                globalThis.socket = dial(`/ws/echo?name=${name}`, transport);
                globalThis.sent = 0;
                const send = () => {
                    if (sent === 400) return;
                    socket.send(sent % 10 ? `${sent}` : new Blob([`${sent}`]));
                    sent++;
                    setTimeout(send, 5);
                };
                socket.addEventListener("open", send);
            }""",
            [name, transport],
        )
        for cut in range(3):
            await page.wait(f"sent >= {50 * (cut + 1)}")
            proxy.cut()
        await page.wait("socket.channel.state === 'open'")
        for other in [one for one in TRANSPORTS if one != transport]:
            await page.run("(other) => { socket.channel.transports = [other]; }", other)
            await page.wait(f"socket.channel.transport === '{other}'")
        await page.wait("socket.events.filter(([type]) => type === 'message').length === 400")
        assert await page.run("() => [socket.readyState, socket.bufferedAmount]") == [1, 0]
        await page.run("() => socket.close(3000, 'done')")
        await page.wait("socket.readyState === 3")
        found = await page.run(
            """() => socket.events.map(([type, data, ...fields]) => data instanceof ArrayBuffer
                ? ["bytes", new TextDecoder().decode(data)] : [type, data, ...fields])"""
        )
        messages = [["message" if n % 10 else "bytes", f"{n}"] for n in range(400)]
        assert found == [["open", None], *messages, ["close", 3000, "done", True]]
    assert proxy.statistics.cuts == 3
    seen = await report(server, name)
    texts = [f"{n}" if n % 10 else [*f"{n}".encode()] for n in range(400)]
    assert seen == [["connect", []], *texts, ["disconnect", 3000, "done"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_restarted_server_ends_socket_once(
    browser: Browser, name: str, transport: str
) -> None:
    """The session that the server opens in its place is closed, and is given no message."""
    async with serving(APP, "--no-access-log") as server, tab(browser, server.url) as page:
        await page.run(
            """([name, transport]) => {
                globalThis.socket = dial(`/ws/echo?greet=hello&name=${name}`, transport);
            }""",
            [name, transport],
        )
        await page.wait("socket.events.length === 2")
        await server.kill()
        await page.run("() => { socket.send('lost'); socket.send(new Blob(['lost too'])); }")
        await page.wait("socket.channel.state === 'recovering'")
        await server.start()
        await page.wait("socket.readyState === 3 && socket.channel.state === 'closed'")
        assert await page.run("() => socket.events") == [["open"], ["message", "hello"], *FAILED]
        assert await page.run("() => socket.bufferedAmount") == len("lostlost too")
        assert await report(server, name, 2) == [["connect", []], ["disconnect", 1001, ""]]
        # The page connects anew, as code that uses WebSockets does.
        await page.run("(name) => { globalThis.next = dial(`/ws/echo?name=${name}`); }", name)
        await page.wait("next.readyState === 1")
        assert await report(server, name, 3) == [
            ["connect", []],
            ["disconnect", 1001, ""],
            ["connect", []],
        ]


async def test_expired_session_ends_socket_during_outage(
    browser: Browser, server: Server, name: str
) -> None:
    async with (
        FaultProxy(server.port) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        await page.run(
            "(name) => { globalThis.socket = dial(`/expiring/echo?name=${name}`); }", name
        )
        await page.wait("socket.readyState === 1")
        proxy.refuse = True
        proxy.cut()
        await page.wait("socket.readyState === 3")
        assert await page.run("() => socket.events") == [["open"], *FAILED]
        assert await page.run("() => socket.channel.state") == "closed"
        attempts = await page.run("() => socket.channel.explain().length")
        proxy.heal()
        # Another socket works, while the first makes no attempt.
        await page.run("() => { globalThis.next = dial('/ws/echo?greet=hello'); }")
        await page.wait("next.events.length === 2")
        assert await page.run("() => socket.channel.explain().length") == attempts
    assert await report(server, name, 2) == [["connect", []], ["disconnect", 1006, "expired"]]


async def test_orderly_stop_closes_with_1012(browser: Browser) -> None:
    async with serving(APP, "--no-access-log") as server, tab(browser, server.url) as page:
        await page.run("() => { globalThis.socket = dial('/ws/echo'); }")
        await page.wait("socket.readyState === 1")
        await server.stop()
        await page.wait("socket.readyState === 3")
        [_, [kind, code, _, clean]] = await page.run("() => socket.events")
        assert [kind, code, clean] == ["close", 1012, True]


async def test_hub_without_application_fails_with_reason(browser: Browser, server: Server) -> None:
    async with tab(browser, server.url) as page:
        await page.run("() => { globalThis.socket = dial('/chat'); }")
        await page.wait("socket.readyState === 3")
        assert await page.run("() => socket.events") == FAILED
        assert await page.run("() => socket.channel.state") == "closed"
        assert [text for text in page.network_errors if "not_found" in text]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_close_in_unload_reaches_application(
    browser: Browser, server: Server, name: str, transport: str
) -> None:
    async with tab(browser, server.url) as page:
        await page.run(
            """([name, transport]) => {
                globalThis.socket = dial(`/ws/echo?name=${name}`, transport);
                addEventListener("pagehide", () => {
                    socket.send("last");
                    socket.close(3000, "left");
                });
            }""",
            [name, transport],
        )
        await page.wait("socket.readyState === 1")
        await page.run("() => void setTimeout(() => { location.href = '/report'; }, 0)")
        assert await report(server, name, 3) == [
            ["connect", []],
            "last",
            ["disconnect", 3000, "left"],
        ]
        await page.page.wait_for_url("**/report", timeout=DEADLINE * 1000)


async def test_installed_class_serves_code_unchanged(browser: Browser, server: Server) -> None:
    """A classic script and a strict policy: nothing but the page's own scripts runs."""
    script = """
        const uninstall = onechannel.install("/ws");
        const talk = (url) => new Promise((resolve) => {
            const socket = new WebSocket(url, ["a"]);
            const seen = [socket instanceof WebSocket, "channel" in socket];
            socket.onopen = () => socket.send("hello");
            socket.onmessage = ({ data }) => (seen.push(data), socket.close(WebSocket.OPEN * 3000));
            socket.onclose = ({ code }) => resolve([...seen, code, socket.protocol].join());
        });
        const base = location.origin.replace("http", "ws");
        (async () => {
            const found = [];
            for (const mount of ["ws", "bare"])
                found.push(await talk(`${base}/${mount}/echo?choose=a`));
            uninstall();
            found.push(await talk(`${base}/bare/echo?choose=a`));
            document.title = found.join(" ");
        })();
    """
    html = (
        "<!doctype html><title></title>"
        '<script src="/ws/websocket.global.js"></script><script src="/page.js"></script>'
    )
    policy = POLICY.replace("wss://example.com", server.url.replace("http", "ws"))
    query = urlencode({"html": html, "policy": f"{policy}; require-trusted-types-for 'script'"})

    async def answer(route: Route) -> None:
        await route.fulfill(body=script, content_type="text/javascript")

    page = await browser.new_page()
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.on("pageerror", lambda error: console.append(str(error)))
    try:
        await page.route("**/page.js", answer)
        await page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        await page.goto(f"{server.url}/?{query}")
        ours, native = "true,true,hello,3000,a", "true,false,hello,3000,a"
        await expect(page).to_have_title(f"{ours} {native} {native}")
        assert console == []
    finally:
        await page.close()
