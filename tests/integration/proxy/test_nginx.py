"""nginx without a configuration for this protocol in front of a server: IDN-1, WS-3, SSE-1.

Its defaults rewrite Host, strip the Upgrade and buffer. TLS ends there, unknown to the server.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser

from tests.support.browsers.chromium import chromium, tab
from tests.support.servers.nginx import Nginx, free_ports, nginx
from tests.support.servers.uvicorn import serving
from transport import ChannelClosed, connect
from transport.client import Pacing

NAME = "app.test"
"""A host that is not loopback and has no TLS: browsers send no Sec-Fetch-Site to it."""
TRANSPORTS = ["websocket", "sse", "longpoll"]
PACING = Pacing(retry_base=0.02, retry_max=0.1)


@pytest.fixture(scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    ports = free_ports()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LISTED_ORIGIN", f"http://{NAME}:{ports['listed']}")
        async with (
            serving("tests.integration.proxy.apps:app", "--no-access-log") as server,
            nginx(server.port, folder, ports) as one,
        ):
            yield one


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium(f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as one:
        yield one


def channel_to(proxy: Nginx, way: str, *transports: str, **options: Any) -> connect:
    url = proxy.url(way)
    if url.startswith("https"):
        options["verify"] = proxy.trusting()
    return connect(
        f"{url}/chat",
        transports=transports or TRANSPORTS,
        trust_env=False,
        pacing=PACING,
        **options,
    )


# The Python client


@pytest.mark.parametrize(
    ("way", "transport"),
    [("bare", "sse"), ("tls", "sse"), ("upgrading", "websocket"), ("good", "websocket")],
)
async def test_python_client_finds_working_transport(
    proxy: Nginx, way: str, transport: str
) -> None:
    with anyio.fail_after(30):
        async with channel_to(proxy, way) as channel:
            for message in ("a", "ü" * 20_000, b"\x00\xff"):
                await channel.send(message)
                assert await channel.receive() == message
            assert channel.transport == transport
            tried = [(one.transport, one.outcome) for one in channel.explain()]
            failed = [("websocket", "failed")] if transport != "websocket" else []
            assert tried == [*failed, (transport, "open")]


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize("way", ["bare", "tls"])
async def test_each_fallback_passes_through_nginx(proxy: Nginx, way: str, transport: str) -> None:
    with anyio.fail_after(30):
        async with channel_to(proxy, way, transport) as channel:
            for number in range(20):
                await channel.send(number)
            assert [await channel.receive() for _ in range(20)] == list(range(20))
            channel.reconnect()  # a session is resumed behind nginx too
            await channel.send("after")
            assert await channel.receive() == "after"
            assert channel.statistics().resets == 0


async def test_largest_message_passes_through_nginx(proxy: Nginx) -> None:
    """Section 12: a body is below the 1 MB that nginx accepts."""
    with anyio.fail_after(30):
        async with channel_to(proxy, "bare", "longpoll") as channel:
            largest = b"\xff" * 262_144
            await channel.send(largest)
            assert await channel.receive() == largest


async def test_foreign_origin_is_refused_with_advice(proxy: Nginx) -> None:
    with anyio.fail_after(30), pytest.raises(ChannelClosed, match="4403") as closed:
        async with channel_to(proxy, "bare", "sse", origin=proxy.url("bare")):
            pass
    assert "Hub(origins=[...])" in closed.value.reason


# The browser's client


@pytest.mark.browser
@pytest.mark.parametrize(
    ("way", "host", "transport"),
    [
        # In a secure context, which includes loopback, Sec-Fetch-Site shows a same-origin page.
        ("bare", "127.0.0.1", "sse"),
        ("tls", "127.0.0.1", "sse"),
        # Chromium sends none with a WebSocket, so that is refused; later requests are not.
        ("upgrading", "127.0.0.1", "sse"),
        ("good", "127.0.0.1", "websocket"),
        ("listed", NAME, "sse"),
    ],
)
async def test_page_finds_working_transport(
    proxy: Nginx, browser: Browser, way: str, host: str, transport: str
) -> None:
    async with tab(browser, proxy.url(way, host), ignore_https_errors=True) as page:
        await page.run("() => void start()")
        for message in ("a", "ü" * 20_000):
            await page.run("async (message) => channel.send(message)", message)
            await page.wait("(message) => seen.at(-1) === message", message)
        assert await page.run("() => channel.transport") == transport
        explained = await page.run("() => channel.explain()")
        tried = [(one["transport"], one["outcome"]) for one in explained]
        failed = [("websocket", "failed")] if transport != "websocket" else []
        assert tried == [*failed, (transport, "open")]
        await page.run("() => channel.close()")


@pytest.mark.browser
@pytest.mark.parametrize("way", ["bare", "tls"])
async def test_page_polls_if_streams_are_forbidden(
    proxy: Nginx, browser: Browser, way: str
) -> None:
    async with tab(browser, proxy.url(way), ignore_https_errors=True) as page:
        await page.run("() => void start({ transports: ['longpoll'] })")
        await page.run("() => channel.send('a')")
        await page.wait("seen.at(-1) === 'a'")
        await page.run("() => channel.close()")


@pytest.mark.browser
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_page_of_listed_origin_uses_other_server(
    proxy: Nginx, browser: Browser, transport: str
) -> None:
    """IDN-1: CORS and preflight, including `client.js` and errors."""
    chat = f"{proxy.url('good')}/chat"
    async with tab(browser, proxy.url("listed", NAME), ignore_https_errors=True) as page:
        await page.run(
            """async ([chat, transport]) => {
              window.Channel = (await import(`${chat}/client.js`)).Channel;
              const { Channel } = window;
              window.channel = new Channel(chat, { transports: [transport] });
              window.seen = [];
              channel.addEventListener("message", ({ data }) => seen.push(data));
              await channel.send("from elsewhere");
            }""",
            [chat, transport],
        )
        await page.wait("seen.at(-1) === 'from elsewhere'")
        assert await page.run("() => channel.transport") == transport
        refusal = await page.run(
            """async (url) => {
              const headers = { "content-type": "application/x-ndjson" };
              const answer = await fetch(url, { method: "POST", headers, body: "{" });
              return [answer.status, (await answer.json()).code];
            }""",
            f"{chat}/send",
        )
        assert refusal == [400, "bad_json"]
        await page.run("() => channel.close()")


@pytest.mark.browser
async def test_page_of_other_origin_is_refused(proxy: Nginx, browser: Browser) -> None:
    """IDN-4: the page reads the refusal, also through a proxy, and its channel closes."""
    chat = f"{proxy.url('good')}/chat"
    async with tab(browser, proxy.url("bare", NAME), ignore_https_errors=True) as page:
        await page.run(
            """(chat) => {
              window.channel = new Channel(chat, { retryBase: 0.05 });
              channel.addEventListener("close", ({ code, reason }) => {
                window.end = { code, reason };
              });
            }""",
            chat,
        )
        await page.wait("window.end !== undefined")
        end = await page.run("() => window.end")
        assert end["code"] == 4403
        assert "Hub(origins=[...])" in end["reason"]
        assert await page.run("() => channel.id") is None


@pytest.mark.browser
async def test_page_without_tls_is_advised_to_list_origin(proxy: Nginx, browser: Browser) -> None:
    async with tab(browser, proxy.url("bare", NAME)) as page:
        await page.run("() => void start()")
        await page.wait("channel.state === 'closed'")
        [closed] = await page.run("() => happened('close')")
        assert closed["code"] == 4403
        assert "Hub(origins=[...])" in closed["reason"]
        last = (await page.run("() => channel.explain()"))[-1]
        assert last["outcome"] == "failed"
        assert "Hub(origins=[...])" in last["reason"]
