"""The channel in a real browser with a real server: delivery across switches, cuts and faults.

With ``MATRIX=full`` there are more messages, cuts and faults.
"""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser

from tests.browser.pages import (
    FULL,
    TRANSPORTS,
    apps,
    page_behind_proxy,
    report,
    start,
    until_report,
)
from tests.support.browsers.chromium import Tab, tab
from tests.support.faults.http_proxy import Delay, Fault, Lose, Repeat, RequestProxy

pytestmark = pytest.mark.browser


async def state_of(page: Tab) -> Any:
    return await page.run(
        "() => ({state: channel.state, events, explain: channel.explain(), "
        "statistics: channel.statistics()})"
    )


# Conversation


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_pages_chat(browser: Browser, transport: str) -> None:
    async with (
        apps("lobby") as server,
        tab(browser, server.url) as one,
        tab(browser, server.url) as two,
    ):
        for page in (one, two):
            await start(page, transport)
            await page.wait("seen.includes('joined')")
        for name, page in (("one", one), ("two", two)):
            await page.run(
                "(name) => { for (let i = 0; i < 20; i++) channel.send(`${name} ${i}`); }", name
            )
        conversations = []
        for page in (one, two):
            await page.wait("seen.length >= 41")
            conversations.append(await page.run("() => seen.slice(1)"))
            assert await page.run("() => channel.transport") == transport
        assert conversations[0] == conversations[1], "both pages must see the same conversation"
        assert sorted(conversations[0]) == sorted(
            f"{n} {i}" for n in ("one", "two") for i in range(20)
        )
        for name in ("one", "two"):
            assert [m for m in conversations[0] if m.startswith(name)] == [
                f"{name} {i}" for i in range(20)
            ]


async def test_conversation_survives_forbidden_transports(browser: Browser) -> None:
    """The test forbids WebSocket, then SSE as well, and then everything but WebSocket."""
    each = 600
    talk = """async ([name, count]) => {
        let flying = [];
        for (let i = 0; i < count; i++) {
            flying.push(channel.send(`${name} ${i}`));
            if (flying.length > 20) await flying.shift();
        }
        await Promise.all(flying);
    }"""
    async with (
        apps("lobby") as server,
        tab(browser, server.url) as one,
        tab(browser, server.url) as two,
    ):
        for page in (one, two):
            await page.run("() => void start()")
            await page.wait("seen.includes('joined') && channel.transport === 'websocket'")

        async def forbid() -> None:
            await one.wait("seen.length > 300")
            await one.run("() => { channel.transports = ['sse', 'longpoll']; }")
            await one.wait("channel.transport === 'sse' && seen.length > 600")
            await one.run("() => { channel.transports = ['longpoll']; }")
            await one.wait("channel.transport === 'longpoll' && seen.length > 900")
            await one.run("() => { channel.transports = ['websocket']; }")
            await one.wait("channel.transport === 'websocket'")

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(forbid)
                for name, page in (("one", one), ("two", two)):

                    async def converse(page: Tab = page, name: str = name) -> None:
                        await page.run(talk, [name, each], timeout=60)

                    tasks.start_soon(converse)
        conversations = []
        for page in (one, two):
            await page.wait(f"seen.length >= {2 * each + 1}")
            conversations.append(
                await page.run("() => seen.filter((message) => message !== 'joined')")
            )
        assert conversations[0] == conversations[1]
        assert sorted(conversations[0]) == sorted(
            f"{n} {i}" for n in ("one", "two") for i in range(each)
        )
        for name in ("one", "two"):
            assert [m for m in conversations[0] if m.startswith(name)] == [
                f"{name} {i}" for i in range(each)
            ]
        switched = [event["transport"] for event in await one.run("() => happened('transport')")]
        assert switched == ["websocket", "sse", "longpoll", "websocket"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_awaited_sends_at_full_window_do_not_deadlock(
    browser: Browser, transport: str
) -> None:
    """The handler sends four windows of rows before it receives the first answer (MRK-3)."""
    async with apps("rows") as server, tab(browser, server.url) as page:
        answered = await page.run(
            """async (transport) => {
                const channel = new Channel("/chat", {transports: [transport]});
                channel.send({rows: 200});
                let rows = 0;
                for await (const message of channel) {
                    if (message === "all answered") break;
                    if (message.row !== ++rows) throw new Error(`row ${rows} is ${message.row}`);
                    await channel.send({answer: rows});
                }
                await channel.close();
                return rows;
            }""",
            transport,
            timeout=60,
        )
        assert answered == 200
        seen = await report(server)
        assert (seen["sent"], seen["received"], seen["wrong"]) == (200, 200, [])


async def test_listener_that_awaits_sends_does_not_deadlock(browser: Browser) -> None:
    async with apps("rows") as server, tab(browser, server.url) as page:
        await page.run(
            """() => new Promise((resolve) => {
                const channel = new Channel("/chat");
                channel.addEventListener("message", async ({data}) => {
                    if (data === "all answered") return resolve();
                    await channel.send({answer: data.row});
                });
                channel.send({rows: 200});
            })"""
        )
        assert (await report(server))["wrong"] == []


# Cuts


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_survive_cuts_at_any_byte(
    browser: Browser, transport: str, record_property: Any
) -> None:
    """Every message arrives once and in order, both ways, although FIN and RST split frames."""
    count, chunk, cuts = (10_000, 160, 50) if FULL else (3_000, 100, 20)
    async with page_behind_proxy(browser, "campaign", seed=TRANSPORTS.index(transport)) as (
        server,
        proxy,
        page,
    ):
        late = 0

        async def chunk_done(done: int) -> None:
            # Plan a cut for each chunk, at a random byte. If far fewer bytes have passed than
            # expected, cut at once.
            nonlocal late
            if proxy.statistics.cuts < done - 4:
                late += 1
                proxy.heal()
                proxy.cut()
            proxy.cut_after(
                proxy.random.randint(1, 1000),
                direction=proxy.random.choice(("up", "down")),
                every=proxy.random.random() < 0.5,
            )

        await page.page.expose_function("chunkDone", chunk_done)
        started = time.monotonic()
        result = await page.run(
            "(options) => campaign(options)",
            {
                "count": count,
                "chunk": chunk,
                "transports": [transport],
                "retryBase": 0.02,
                "retryMax": 0.05,
            },
            timeout=90,
        )
        seconds = time.monotonic() - started
        seen = await report(server)
        print(  # noqa: T201 - the figures are the point
            f"\n{transport}: {count} messages each way, {proxy.statistics.cuts} cuts of "
            f"{proxy.statistics.links_cut} connections ({late} not at a byte), "
            f"{result['statistics']['attaches']} attaches, "
            f"{result['statistics']['replayed']} replayed, {seconds:.1f} s"
        )
        record_property("seconds", seconds)
        assert (result["received"], result["wrong"]) == (count, [])
        assert (seen["received"], seen["wrong"]) == (count, [])
        assert (seen["started"], result["resets"], result["closed"]) == (1, [], 0)
        assert proxy.statistics.cuts >= cuts
        assert late <= cuts // 10, "most cuts must fall within frames"


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize(
    "faults",
    [
        [Lose(), Lose(headers=True)],
        [Repeat(), Repeat(later=1), Repeat(later=3)],
        [Delay(later=later, cut=True) for later in (1, 2, 4)],
    ],
    ids=["lost", "repeated", "reordered"],
)
async def test_broken_requests_lose_nothing(
    browser: Browser, transport: str, faults: list[Fault]
) -> None:
    """Answers get lost, and requests are repeated or reordered, with a reconnect now and then."""
    count, chunk, least = (800, 40, 20) if FULL else (300, 30, 10)
    async with (
        apps("brisk") as server,
        RequestProxy(server.port, seed=TRANSPORTS.index(transport)) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):
        proxy.disturb(0.4, ["send", "poll", "sse"], faults)
        await page.run(
            "() => { globalThis.chunkDone = (done) => { if (done % 2) channel.reconnect(); }; }"
        )
        options = {"transports": [transport], "retryBase": 0.02, "retryMax": 0.05}
        result = await page.run(
            "(options) => campaign(options)",
            {"count": count, "chunk": chunk, **options},
            timeout=60,
        )
        broken = proxy.faults.total()
        proxy.heal()
        await proxy.settled()
        seen = await report(server)
        assert (result["received"], result["wrong"]) == (count, [])
        assert (seen["received"], seen["wrong"], seen["sent"]) == (count, [], count)
        assert (seen["started"], result["resets"], result["closed"]) == (1, [], 0)
        [there] = seen["channels"]
        assert (there["received"], there["sent"]) == (count + 1, count)
        assert broken >= least


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_unanswered_post_is_accepted_once(browser: Browser, transport: str) -> None:
    """The request arrives, but its answer and the echoes are lost with the connection."""
    async with page_behind_proxy(browser, "echo") as (server, proxy, page):
        await start(page, transport)
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1")
        for index in range(5):
            # If an answer were outstanding, the stall would also lose the attach.
            await until_report(server, lambda seen: seen["channels"][0]["buffered"] == 0)
            await page.wait("channel.explain().at(-1).outcome === 'open' && posting === 0")
            proxy.stall("down")
            await page.run("(message) => sendAndKeep(message)", f"lost {index}")
            await until_report(server, lambda seen, n=index: len(seen["messages"]) == n + 2)
            assert proxy.cut() > 0
            proxy.heal()
            await page.wait("(message) => fates[message] === 'handled'", f"lost {index}")
        expected = ["first", *(f"lost {index}" for index in range(5))]
        await page.wait("(count) => seen.length >= count", len(expected))
        assert await page.run("() => seen") == expected
        assert (await report(server))["messages"] == expected
