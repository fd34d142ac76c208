"""The channel in the other engines, Firefox and WebKitGTK.

`make test` runs a short form. With ``MATRIX=full`` there are more messages, cuts and faults, and
Chromium runs the same tests for comparison.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from tests.browser.front import (
    Fault,
    black_hole,
    front,
    headers_and_mute,
    mute,
    refused,
    stripped,
    upgraded_and_mute,
)
from tests.browser.pages import (
    FULL,
    TRANSPORTS,
    Service,
    apps,
    only_in_full_matrix,
    report,
    talk_at_once,
)
from tests.field.matrix.proxies import NGINX, Site, proxying
from tests.support.browsers.chromium import DEADLINE, AnyTab, Engine
from tests.support.browsers.engines import ENGINES, engine
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.nginx import Nginx, free_ports, nginx
from tests.support.servers.uvicorn import Server, serving

pytestmark = pytest.mark.browser

FAULTS = [refused, mute, stripped, upgraded_and_mute]


@pytest.fixture(scope="module", params=ENGINES if FULL else ENGINES[1:])
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with engine(request.param) as one:
        yield one


@pytest.fixture(scope="module")
async def campaign_server() -> AsyncIterator[Server]:
    async with apps("campaign") as one:
        yield one


@pytest.fixture
async def numbers(campaign_server: Server) -> Service:
    """A service whose handler sends numbered messages and expects the same from the page."""
    return Service(campaign_server, await report(campaign_server))


@pytest.fixture(scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    ports = free_ports()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LISTED_ORIGIN", f"http://127.0.0.1:{ports['listed']}")
        async with (
            serving("tests.integration.proxy.apps:app", "--no-access-log") as server,
            nginx(server.port, folder, ports) as one,
        ):
            yield one


async def exchange(
    page: AnyTab, service: Service, count: int, then: str = "", **options: Any
) -> dict[str, Any]:
    """Exchange ``count`` numbered messages each way, and check that each arrives once, in order.

    The script ``then`` runs after each twelfth of them; ``done`` is the number of twelfths. Return
    the statistics of the channel.
    """
    await page.run(f"() => {{ globalThis.chunkDone = (done) => {{ {then} }}; }}")
    pacing = {"count": count, "chunk": count // 12, "retryBase": 0.02, "retryMax": 0.05}
    result: dict[str, Any] = await page.run(
        "(options) => campaign(options)", {**pacing, **options}, timeout=90
    )
    seen = await service.report()
    assert (result["received"], result["wrong"]) == (count, [])
    assert (seen["received"], seen["wrong"]) == (count, [])
    assert (seen["started"], result["resets"], result["closed"]) == (1, [], 0)
    statistics: dict[str, Any] = result["statistics"]
    return statistics


def only(transport: str | None) -> dict[str, Any]:
    """Return the options that restrict a channel to this transport. None means no restriction."""
    return {"transports": [transport]} if transport else {}


# Test support


async def test_tab_reports_errors_of_page(browser: Engine, echo: Service) -> None:
    """Otherwise the other tests would not notice them."""
    opened = browser.tab(echo.url)
    page = await opened.__aenter__()
    with pytest.raises(Exception, match="raised by the test"):
        await page.run("async () => { throw new TypeError('raised by the test'); }")
    with pytest.raises(TimeoutError):
        await page.run("() => new Promise(() => {})", timeout=0.2)
    with pytest.raises(TimeoutError):
        await page.wait("false", timeout=0.2)
    page.assert_no_errors()
    await page.run(
        """() => {
            console.log("not this");
            console.warn("warned", 1);
            Promise.reject(new Error("rejected"));
            setTimeout(() => { throw new Error("uncaught"); }, 0);
        }"""
    )
    with anyio.fail_after(DEADLINE):
        while len(page.errors) < 3:
            await page.run("() => {}")
    for expected in ("warned 1", "rejected", "uncaught"):
        assert [expected in error for error in page.errors].count(True) == 1
    page.errors.clear()
    await page.run("() => void Promise.reject(new Error('rejected while leaving'))")
    with pytest.raises(AssertionError, match="rejected while leaving"):
        await opened.__aexit__(None, None, None)


# Conversation


@pytest.mark.parametrize("transport", [*TRANSPORTS[0 if FULL else 1 :], None])
async def test_messages_of_all_kinds_pass_both_ways(
    browser: Engine, numbers: Service, transport: str | None
) -> None:
    """The first message has the maximum size."""
    async with browser.tab(numbers.url) as page:
        statistics = await exchange(page, numbers, 3000 if FULL else 120, **only(transport))
        assert await page.run("() => channel.transport") == (transport or "websocket")
        assert statistics["attaches"] == 1
        await page.run("() => channel.close()")


async def test_switch_of_transport_loses_nothing(browser: Engine, numbers: Service) -> None:
    """The test forbids WebSocket, then SSE as well, and then everything but WebSocket."""
    turns = """
        const allowed = {2: ["sse", "longpoll"], 5: ["longpoll"], 8: ["websocket"]}[done];
        if (allowed) channel.transports = allowed;
    """
    async with browser.tab(numbers.url) as page:
        await exchange(page, numbers, 3000 if FULL else 360, turns)
        await page.wait("channel.transport === 'websocket'")
        switched = [event["transport"] for event in await page.run("() => happened('transport')")]
        assert switched == ["websocket", "sse", "longpoll", "websocket"]
        await page.run("() => channel.close()")


# Cuts


@pytest.mark.parametrize("transport", [*TRANSPORTS, None] if FULL else [None])
async def test_cuts_lose_and_repeat_nothing(
    browser: Engine, numbers: Service, transport: str | None
) -> None:
    """FIN and RST fall within frames, at random bytes."""
    count, cuts = (3000, 40) if FULL else (240, 8)
    draw = random.Random(7)
    async with (
        FaultProxy(numbers.port, seed=7) as network,
        browser.tab(f"http://127.0.0.1:{network.port}") as page,
    ):
        for _ in range(cuts):
            network.cut_after(draw.randint(1, 40_000), every=draw.random() < 0.5)
        statistics = await exchange(page, numbers, count, **only(transport))
        print(f"\n{statistics}")  # noqa: T201 - the figures are the point
        assert network.statistics.cuts == cuts
        await page.run("() => channel.close()")


@only_in_full_matrix
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_resumes_after_gap(browser: Engine, echo: Service, transport: str) -> None:
    async with (
        FaultProxy(echo.port) as network,
        browser.tab(f"http://127.0.0.1:{network.port}") as page,
    ):
        await page.run("(options) => void start(options)", only(transport))
        await page.run("() => channel.send('first')")
        await page.wait("seen.length === 1")
        network.refuse = True
        assert network.cut() > 0
        await page.wait("channel.state === 'recovering'")
        await page.run("() => { for (const i of [2, 3, 4]) sendAndKeep(i); }")
        await network.wait_for_refusals(1)
        network.heal()
        await page.wait("seen.length === 4 && fates[4] === 'handled'")
        assert await page.run("() => seen") == ["first", 2, 3, 4]
        seen = await echo.report()
        assert (seen["started"], seen["messages"]) == (1, ["first", 2, 3, 4])
        await page.run("() => channel.close()")


# Intermediaries


@pytest.mark.parametrize("fault", FAULTS if FULL else [upgraded_and_mute])
async def test_page_falls_back_to_sse(browser: Engine, echo: Service, fault: Fault) -> None:
    async with front(echo.server) as (one, url), browser.tab(url) as page:
        one.faults["websocket"] = fault
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "sse"
        assert (await echo.report())["started"] == 1
        await page.run("() => channel.close()")


@pytest.mark.parametrize("stream", [mute, headers_and_mute] if FULL else [headers_and_mute])
@pytest.mark.parametrize("fault", FAULTS if FULL else [stripped])
async def test_page_falls_back_to_polls(
    browser: Engine, echo: Service, fault: Fault, stream: Fault
) -> None:
    async with front(echo.server) as (one, url), browser.tab(url) as page:
        one.faults.update(websocket=fault, sse=stream)
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "longpoll"
        assert (await echo.report())["started"] == 1
        await page.run("() => channel.close()")


@only_in_full_matrix
async def test_page_falls_back_if_syns_are_dropped(browser: Engine, echo: Service) -> None:
    """The WebSocket goes to a port that drops SYNs; everything else goes to the server."""
    async with black_hole() as port, browser.tab(echo.url) as page:
        await page.run(
            """(port) => {
                const { WebSocket } = globalThis;
                globalThis.WebSocket = class extends WebSocket {
                    constructor(url) { super(url.replace(/:\\d+/, ":" + port)); }
                };
            }""",
            port,
        )
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "sse"
        await page.run("() => channel.close()")


@pytest.mark.parametrize(
    "way", ["bare", "listed", "tls", "upgrading", "good"] if FULL else ["bare", "good"]
)
async def test_page_finds_working_transport_through_nginx(
    proxy: Nginx, browser: Engine, way: str
) -> None:
    # If Host differs, Sec-Fetch-Site shows that the page is of the same origin. Chromium does not
    # send that header with a WebSocket.
    works = way == "good" or (way == "upgrading" and browser.name != "chromium")
    async with browser.tab(proxy.url(way), ignore_https_errors=True) as page:
        await page.run("() => void start()")
        for message in ("a", "ü" * 20_000):
            await page.run("async (message) => channel.send(message)", message)
            await page.wait("(message) => seen.at(-1) === message", message)
        assert await page.run("() => channel.transport") == ("websocket" if works else "sse")
        explained = await page.run("() => channel.explain()")
        tried = [(one["transport"], one["outcome"]) for one in explained]
        failed = [] if works else [("websocket", "failed"), ("sse", "open")]
        assert tried == (failed or [("websocket", "open")])
        await page.run("() => channel.close()")


@only_in_full_matrix
@pytest.mark.parametrize("tls", ["h1", "h2"])
async def test_page_talks_through_buffering_proxy(
    browser: Engine, echo: Service, tls: Literal["h1", "h2"]
) -> None:
    """The proxy uses TLS, strips Upgrade, and buffers in spite of `X-Accel-Buffering`."""
    body = """
        proxy_pass http://<app>;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_ignore_headers X-Accel-Buffering;
    """
    async with (
        proxying(NGINX, Site(body, tls=tls), {"app": echo.port}) as proxy,
        browser.tab(f"https://127.0.0.1:{proxy.port}", ignore_https_errors=True) as page,
    ):
        await talk_at_once(page)
        transport = await page.run("() => channel.transport")
        assert transport in ("sse", "longpoll")
        await page.run("async () => { for (let i = 2; i <= 200; i++) await channel.send(i); }")
        await page.wait("seen.length === 200")
        expected = ["first", *range(2, 201)]
        assert await page.run("() => seen") == expected
        assert (await echo.report())["messages"] == expected
        version = "() => performance.getEntriesByType('navigation')[0].nextHopProtocol"
        assert await page.run(version) == {"h1": "http/1.1", "h2": "h2"}[tls]
        await page.run("() => channel.close()")


# Page lifecycle


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_last_messages_arrive_after_navigation(
    browser: Engine, echo: Service, transport: str
) -> None:
    """Firefox closes a WebSocket when a navigation begins, before the page gets an event."""
    async with browser.tab(echo.url) as page:
        await page.run("(options) => void start(options)", only(transport))
        await page.run("() => channel.send('first')")
        await page.run(
            """() => {
                // In its own task: the page leaves before `run` could return.
                setTimeout(() => {
                    for (let i = 0; i < 20; i++) channel.send(i);
                    location.href = "/report";
                }, 0);
            }"""
        )
        await echo.until_received(["first", *range(20)])
        await page.wait("location.pathname === '/report'")


@only_in_full_matrix
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_messages_sent_in_pagehide_arrive(
    browser: Engine, echo: Service, transport: str, order: str
) -> None:
    """The page sends from a listener to the event that also tells the channel to stop."""
    async with browser.tab(echo.url) as page:
        await page.run(
            """([options, order]) => {
                const listen = () => addEventListener("pagehide", () => void channel.send("last"));
                if (order === "before") listen();
                start(options);
                if (order === "after") listen();
            }""",
            [only(transport), order],
        )
        await page.run("() => channel.send('first')")
        await page.run("() => void setTimeout(() => { location.href = '/report'; }, 0)")
        await echo.until_received(["first", "last"])
        await page.wait("location.pathname === '/report'")


async def test_page_continues_after_history_back(browser: Engine, echo: Service) -> None:
    """WebKit caches a page that has a channel and restores it. Firefox loads it again."""
    async with browser.tab(echo.url) as page:
        await page.run("() => void start()")
        await page.run("() => channel.send('first')")
        await page.run("() => void setTimeout(() => { location.href = '/?next'; }, 0)")
        await page.wait("location.search === '?next' && window.ready")
        await page.run("() => void setTimeout(() => history.back(), 0)")
        await page.wait("location.search === '' && window.ready")
        kept = await page.run("() => 'channel' in window")
        assert kept == (browser.name == "webkit")
        if not kept:
            await page.goto(echo.url)
            await page.run("() => void start()")
        await page.run("() => channel.send('second')")
        await page.wait("seen.at(-1) === 'second'")
        seen = await echo.report()
        assert seen["messages"] == ["first", "second"]
        assert seen["started"] == (1 if kept else 2)
        await page.run("() => channel.close()")
