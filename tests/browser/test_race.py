"""Transports that are held back on the way: how soon a page talks all the same.

A front stands where a proxy would. It passes requests on to the server, and does to those for a
WebSocket or a stream what bad middle boxes do.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.test_channel import TRANSPORTS as ALL
from tests.browser.test_channel import apps, report
from tests.kit.browser import AnyTab, tab
from tests.kit.faults import FaultProxy
from tests.kit.server import Server

pytestmark = pytest.mark.browser

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Fault = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What is done to a connection whose first request, its head, is given."""


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


async def refused(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The connection is ended at once."""
    writer.transport.abort()


async def mute(_: bytes, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """The connection stands, and nothing ever answers."""
    await _drain(reader)


async def stripped(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that knows no upgrade and answers by itself."""
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def upgraded_and_mute(
    head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """The upgrade is answered; no frame ever is."""
    [key] = [
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await _drain(reader)


async def headers_and_mute(
    _: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """The headers of a stream come at once, its body never."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await _drain(reader)


class Front:
    """Passes each connection on to the server, save those whose first request a fault is for.

    A browser may send more requests on a connection that it has: so every answer closes its own.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.faults: dict[str, Fault] = {}
        """By the last segment of the path: `websocket`, `sse`."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # `end` cancels it: nobody else is to hear of that, or asyncio logs it.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        segment = head.split(b" ", 2)[1].split(b"?")[0].rsplit(b"/", 1)[1].decode()
        upgrade = b"upgrade: websocket" in head.lower()
        fault = self.faults.get(segment)
        if fault is not None and (segment != "websocket" or upgrade):
            await fault(head, reader, writer)
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        if not upgrade:
            first, rest = head.split(b"\r\n", 1)
            lines = [x for x in rest.split(b"\r\n") if not x.lower().startswith(b"connection:")]
            head = b"\r\n".join([first, b"Connection: close", *lines])
        up_writer.write(head)
        try:
            async with asyncio.TaskGroup() as tasks:
                back = tasks.create_task(self._pump(up_reader, writer))
                tasks.create_task(self._pump(reader, up_writer))
                await back
                raise ConnectionResetError
        except* OSError:
            pass
        finally:
            up_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def front(server: Server) -> AsyncIterator[tuple[Front, str]]:
    one = Front(server)
    listener = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    try:
        yield one, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await one.end()


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A port whose SYNs are dropped: its backlog is full, and nothing is accepted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        with pytest.raises(OSError, match="not connected"):
            fillers[-1].getpeername()  # one is taken into the backlog, and no more
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


async def talk(page: AnyTab, options: dict[str, Any] | None = None) -> None:
    """Open a channel, send a message and wait for its echo. The figure is printed."""
    seconds = await page.run(
        """async (options) => {
            const begun = performance.now();
            start(options);
            await channel.send("first");
            if (!seen.length)
                await new Promise((resolve) => channel.addEventListener("message", resolve));
            return (performance.now() - begun) / 1000;
        }""",
        options or {},
    )
    print(f"\n{seconds:.2f} s")  # noqa: T201 - the figure is the point


async def talk_at_once(page: AnyTab) -> None:
    """The same, with attempts that time out long after the test has failed.

    So no transport was begun only when the one before it had timed out.
    """
    await talk(page, {"openTimeout": 300})


async def explained(page: AnyTab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await page.run("() => channel.explain()")
    return found


@pytest.mark.parametrize("fault", [refused, mute, stripped, upgraded_and_mute])
async def test_a_page_talks_though_websocket_is_held_back(browser: Browser, fault: Fault) -> None:
    async with apps("echo") as server, front(server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = fault
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "sse"
        assert (await report(server))["started"] == 1


@pytest.mark.parametrize("stream", [mute, headers_and_mute])
@pytest.mark.parametrize("fault", [refused, mute, stripped, upgraded_and_mute])
async def test_a_page_talks_though_streams_are_held_back_too(
    browser: Browser, fault: Fault, stream: Fault
) -> None:
    async with apps("echo") as server, front(server) as (one, url), tab(browser, url) as page:
        one.faults.update(websocket=fault, sse=stream)
        await talk_at_once(page)
        assert await page.run("() => channel.transport") == "longpoll"
        assert (await report(server))["started"] == 1


async def test_a_page_talks_though_syns_are_dropped(browser: Browser) -> None:
    """WebSocket is sent to a port that drops them; all else goes to the server."""
    async with apps("echo") as server, black_hole() as port, tab(browser, server.url) as page:
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


async def test_websocket_takes_over_once_it_works_and_the_next_page_knows(browser: Browser) -> None:
    """It is held back, the stream carries; healed, it is probed and taken in mid-conversation."""
    async with apps("echo") as server, front(server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = refused
        await talk(page, {"fallbackFor": 1})
        assert await page.run("() => channel.transport") == "sse"
        await page.run(
            """() => {
                globalThis.talking = (async () => {
                    let count = 0;
                    for (let left = 50; channel.transport !== "websocket" || left-- > 0; ) {
                        channel.send(++count);
                        await new Promise((resolve) => setTimeout(resolve, 5));
                    }
                    await channel.send("last");
                    return count;
                })();
            }"""
        )
        one.faults.clear()
        count = await page.run("() => talking", timeout=60)
        await page.wait("seen.at(-1) === 'last'")
        assert await page.run("() => seen") == ["first", *range(1, count + 1), "last"]
        kinds = await page.run("() => events.map(({type}) => type).filter((t) => t !== 'message')")
        assert kinds == ["transport", "open", "transport"], "no gap"
        assert (await report(server))["started"] == 1


async def test_the_page_is_told_why(browser: Browser) -> None:
    async with apps("echo") as server, front(server) as (one, url), tab(browser, url) as page:
        one.faults.update(websocket=stripped, sse=headers_and_mute)
        await talk(page, {"openTimeout": 2})
        await page.wait("channel.explain().every(({outcome}) => outcome !== 'pending')")
        await page.wait("channel.explain()[0].reason.includes('GET')")
        websocket, stream, poll = await explained(page)
        assert websocket["reason"] == (
            "refused; a plain GET of its URL answers our 426: a proxy strips the upgrade"
        )
        assert stream["reason"].startswith("headers after ")
        assert stream["reason"].endswith(": something buffers it")
        assert (poll["outcome"], poll["reason"]) == ("open", "")


async def test_the_next_page_begins_with_what_worked(browser: Browser) -> None:
    async with apps("echo") as server, front(server) as (one, url), tab(browser, url) as page:
        one.faults["websocket"] = mute
        await talk(page, {"openTimeout": 2})
        await page.wait("channel.explain()[0].outcome === 'failed'")
        await page.goto(url)
        await talk(page)
        [first, *_] = await explained(page)
        assert first["transport"] == "sse"


async def test_nothing_is_lost_or_doubled_while_transports_race_and_are_cut(
    browser: Browser,
) -> None:
    """Head starts of 5 ms and probes at once: attaches overlap all the time, and cuts fall in."""
    count, chunk = 10_000, 100
    async with (
        apps("campaign") as server,
        FaultProxy(server.port, seed=6) as proxy,
        tab(browser, f"http://127.0.0.1:{proxy.port}") as page,
    ):

        async def chunk_done(done: int) -> None:
            # Another is forbidden each time: the session is pushed about, besides.
            allowed = [ALL, ALL[1:], ALL, ALL[2:], ALL, ALL[::2]][done % 6]
            await page.page.evaluate("(allowed) => { channel.transports = allowed; }", allowed)
            if done % 2:
                proxy.cut_after(proxy.random.randint(1, 4000), every=bool(done % 4 == 1))

        await page.page.expose_function("chunkDone", chunk_done)
        result = await page.run(
            "(options) => campaign(options)",
            {
                "count": count,
                "chunk": chunk,
                "headStart": 0.005,
                "fallbackFor": 0.2,
                "retryBase": 0.02,
                "retryMax": 0.05,
            },
            timeout=90,
        )
        seen = await report(server)
        print(  # noqa: T201 - the figures are the point
            f"\n{proxy.statistics.cuts} cuts, {result['statistics']['attaches']} attaches, "
            f"{result['statistics']['attempts']}"
        )
        assert (result["received"], result["wrong"]) == (count, [])
        assert (seen["received"], seen["wrong"]) == (count, [])
        assert (seen["started"], result["resets"], result["closed"]) == (1, [], 0)
        assert proxy.statistics.cuts >= 20
        assert result["statistics"]["attaches"] >= 50
