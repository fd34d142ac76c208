"""What the client does and says when a server cannot be reached, or an error is its own."""

from __future__ import annotations

import asyncio
import logging
import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, ChannelClosed, Hub, Limits, Unreachable, connect
from transport.client import Pacing
from transport.protocol.client.events import Answer, Event, FrameReceived, Input
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession

URL = "http://127.0.0.1:1/"
TRANSPORTS = ("websocket", "sse", "longpoll")


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error page of a proxy whose server is down."""
    await PlainTextResponse("<h1>503</h1>", 503)(scope, receive, send)


@in_memory
async def test_close_during_long_backoff_attempts_at_once() -> None:
    """The wait for the next attempt may be longer than the time that is left to close."""
    limits = Limits(closing=2, ttl=500)
    network = Network(Hub(echo, limits=limits))
    loop = asyncio.get_running_loop()
    pacing = Pacing(retry_base=60, retry_max=100)
    async with connect(URL, transports=["websocket"], trust_env=False, pacing=pacing) as channel:
        await asyncio.sleep(30)
        network.up = False
        network.cut()
        await asyncio.sleep(3)
        network.up = True
        attempts = len(channel.explain())
        begun = loop.time()
        await channel.close(3000, "done")
        assert loop.time() - begun < 2
        assert len(channel.explain()) == attempts + 1
    with pytest.raises(ChannelClosed) as caught:
        await channel.receive()
    assert caught.value.code == 3000


@in_memory
async def test_reconnect_of_suspended_channel_has_no_effect() -> None:
    Network(Hub(echo))
    async with connect(URL, transports=["websocket"], trust_env=False) as channel:
        channel.suspend()
        channel.reconnect()
        await asyncio.sleep(100)
        assert (channel.phase, len(channel.explain())) == ("suspended", 1)
        channel.resume()
        await channel.send("a")
        assert await channel.receive() == "a"


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse as an overloaded proxy does."""
    if scope["type"] == "http":
        page = PlainTextResponse("busy", 503, headers={"Retry-After": "20"})
    else:
        page = PlainTextResponse("busy", 503, headers={"Retry-After": "86400"})
    await page(scope, receive, send)


@in_memory
@pytest.mark.parametrize(
    ("transport", "least", "most"), [("sse", 20, 60), ("longpoll", 20, 60), ("websocket", 300, 400)]
)
async def test_retry_after_delays_next_attempt(transport: str, least: float, most: float) -> None:
    """For at most five minutes, as a mistake must not keep a client away for a day."""
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        await channel.send("a")
        assert await channel.receive() == "a"
        await asyncio.sleep(30)
        network.serve(overloaded)
        network.cut()
        await asyncio.sleep(10)
        assert channel.explain()[-1].reason == "HTTP 503"
        begun = loop.time()
        network.serve(Hub(echo))
        while not channel.connected:  # noqa: ASYNC110 - it jumps
            await asyncio.sleep(0.1)
        assert least - 10 <= loop.time() - begun <= most


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("error", [OSError, ValueError, httpx.ReadError, KeyError])
async def test_defect_in_report_is_logged_as_defect(
    transport: str,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It must not pass for the end of a stream, whatever its type."""
    Network(Hub(echo))
    defect = True
    handle_input = ClientSession.handle_input

    def fail_once(one: ClientSession, link: Link, report: Input, now: float) -> list[Event]:
        nonlocal defect
        if defect and isinstance(report, (FrameReceived, Answer)):
            defect = False
            raise error("a mistake of ours")
        return handle_input(one, link, report, now)

    monkeypatch.setattr(ClientSession, "handle_input", fail_once)
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        await channel.send("a")
        assert await channel.receive() == "a"
        assert "a mistake of ours" in channel.explain()[0].reason
    assert "a mistake of ours" in caplog.text
    assert "connection_failed" in caplog.text


async def not_mounted(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as an application does whose hub is mounted elsewhere."""
    await Starlette(routes=[Mount("/elsewhere", Hub(echo))])(scope, receive, send)


async def redirecting(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a hub, but redirect what is sent to any other path."""
    if scope["path"].startswith("/moved/"):
        await Mount("/moved", Hub(echo))(scope, receive, send)
    else:
        await RedirectResponse(f"/moved{scope['path']}")(scope, receive, send)


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(1000)


@in_memory
@pytest.mark.parametrize(
    ("app", "websocket", "http"),
    [
        (not_mounted, "HTTP 403: .*check the mount path", "HTTP 404: .*check the mount path"),
        (Mount("/elsewhere", Hub(echo)), "HTTP 403: .*", "HTTP 404: .*mount path"),
        (unavailable, "HTTP 503: a proxy answered", "HTTP 503: a proxy answered"),
        (redirecting, "HTTP 307: the URL redirects", "HTTP 307: the URL redirects"),
        (silent, "no answer in time: the server, or", "no answer in time: the server, or"),
        (Hub(echo, transports=["longpoll"]), "HTTP 404|not_found", "not_found: no channel"),
    ],
)
async def test_unreachable_says_what_answered(app: ASGIApp, websocket: str, http: str) -> None:
    """Not "the server did not answer" of one that answered 403."""
    Network(app)
    url = URL + "?token=s3cret"
    with pytest.raises(Unreachable) as caught:
        async with connect(url, transports=["websocket", "sse"], trust_env=False):
            pass
    reasons = caught.value.reasons
    assert re.match(websocket, reasons["websocket"]), reasons
    assert re.match(http, reasons["sse"]), reasons
    text = str(caught.value)
    assert text.startswith(f"no channel could be opened at {URL} (websocket: ")
    assert "s3cret" not in text


@in_memory
async def test_each_outage_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    """After the first round in which every transport failed, with the causes."""
    network = Network(Hub(echo, limits=Limits(ttl=1000)))
    announced: list[dict[str, str]] = []
    url = "http://me:s3cret@127.0.0.1:1/?token=s3cret"
    async with connect(url, trust_env=False, on_unreachable=announced.append) as channel:
        for outage in (1, 2):
            await channel.send("a")
            assert await channel.receive() == "a"
            await asyncio.sleep(60)
            network.up = False
            network.cut()
            await asyncio.sleep(100)
            assert len(announced) == outage
            network.up = True
            await asyncio.sleep(60)
    for reasons in announced:
        assert set(reasons) == set(TRANSPORTS)
        assert all(reason.startswith("connection refused: ") for reason in reasons.values())
    lines = [one for one in caplog.records if getattr(one, "event", "") == "unreachable"]
    assert [one.levelno for one in lines] == [logging.WARNING] * 2
    assert "no transport works at http://127.0.0.1:1/; the client keeps trying (" in caplog.text
    assert "longpoll: connection refused: no server listens" in caplog.text
    assert "s3cret" not in caplog.text


@in_memory
async def test_page_that_never_connects_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Network(Hub(echo)).up = False
    announced: list[dict[str, str]] = []
    with pytest.raises(Unreachable) as caught:
        async with connect(URL, trust_env=False, on_unreachable=announced.append):
            pass
    assert announced == [caught.value.reasons]


@in_memory
async def test_failing_on_unreachable_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    network = Network(Hub(echo))

    def fail(reasons: dict[str, str]) -> None:
        raise KeyError("a mistake of the application")

    async with connect(URL, trust_env=False, on_unreachable=fail) as channel:
        await asyncio.sleep(30)
        network.up = False
        network.cut()
        await asyncio.sleep(10)
        network.up = True
        await channel.send("a")
        assert await channel.receive() == "a"
    assert "callback_failed" in caplog.text
    assert "a mistake of the application" in caplog.text


@in_memory
async def test_short_cuts_are_not_announced(caplog: pytest.LogCaptureFixture) -> None:
    """Another transport, or the same one a moment later, works."""
    network = Network(Hub(echo))
    async with connect(URL, trust_env=False) as channel:
        for _ in range(3):
            await channel.send("a")
            assert await channel.receive() == "a"
            await asyncio.sleep(30)
            network.cut()
        await asyncio.sleep(30)
    assert not caplog.text
