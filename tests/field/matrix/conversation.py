"""The steps of a row, and its measurements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.browser.front import upgraded_and_mute
from tests.field.matrix.accounts import disordered, doubled, lost
from tests.field.matrix.browsers import Browser
from tests.field.matrix.proxies import Proxy, proxying
from tests.field.matrix.rows import Row
from tests.support.browsers.chromium import AnyTab
from tests.support.servers.process import make_certificate
from tests.support.servers.uvicorn import Server, serving

PROBE = 5
"""Maximum seconds between probes: ``fallbackFor`` of the page."""
DEADLINE = 60.0
"""Seconds that a row waits for a condition. The times themselves are measured, not asserted."""
_BACK = "channel.state === 'open' && channel.transport === 'websocket'"
_SCRIPT = Path(__file__).with_name("page.js").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one row.

    Attributes:
        first: the transport of the first round trip.
        seconds: the time from creating the channel to the end of the first round trip.
        transport: the transport that the page used before the repair.
        sent: messages sent by the page.
        answered: messages sent by the servers.
        lost, doubled, disordered: messages of both, as `tests.field.matrix.accounts` counts them.
        reported: messages that a reset reported as possibly lost.
        resets: the reason of each reset.
        gaps: how often the page had no connection.
        back: seconds from reloading the good configuration until the page was on WebSocket, and
            stayed on it.
    """

    first: str
    seconds: float
    transport: str
    sent: int
    answered: int
    lost: int
    doubled: int
    disordered: int
    reported: int
    resets: list[str]
    gaps: int
    back: float


async def measure(row: Row, browser: Browser, count: int) -> Measured:
    """Talk through the proxy, repair it meanwhile, and talk again: ``count`` messages each time."""
    async with _environment(row, browser) as (page, proxy, servers):
        await page.run(_SCRIPT)
        seconds = await page.run(
            "(options) => begin(options)", {"fallbackFor": PROBE}, timeout=DEADLINE
        )
        first = await page.run("() => channel.transport")
        await page.run("() => void chat()")
        await page.wait("(count) => talk.received.length > count", count, timeout=DEADLINE)
        await _try(row, page)
        if row.transport == "websocket":
            # If a connection ends sooner, that counts against its transport.
            await page.wait("performance.now() - talk.backAt > 1000 * 5.5", timeout=DEADLINE)
        transport = await page.run("() => channel.transport")
        await proxy.configure(row.repaired)
        await page.run("() => void (talk.repairedAt = performance.now())")
        await page.wait(_BACK, timeout=DEADLINE)
        said = await page.run("() => talk.sent")
        await page.wait("(count) => talk.sent > count", said + count, timeout=DEADLINE)
        # Connections of the proxy's old process were cut meanwhile.
        await page.wait(_BACK, timeout=DEADLINE)
        await page.run("() => void (talk.quiet = true)")
        with suppress(TimeoutError):
            await page.wait(
                "talk.received.length >= talk.sent - talk.reported.length"
                " && channel.statistics().acknowledged >= talk.sent - talk.reported.length",
                timeout=30,
            )
        talk: dict[str, Any] = await page.run("() => talk")
        reports = [await _report(server, row.tls) for server in servers]
        await page.run("() => channel.close()")
        reported = {*talk["reported"]}
        # Servers share nothing: each session, and its messages, belong to one of them.
        handled = [report["messages"] for report in reports]
        answers = [
            [number for pid, number in talk["received"] if pid == server.pid] for server in servers
        ]
        # If a session was lost, its reset has reported that answers may be lost too.
        missing = 0
        if not talk["resets"]:
            missing = sum(
                lost(report["sent"], got) for report, got in zip(reports, answers, strict=True)
            )
        everything = [*chain(*handled)]
        return Measured(
            first=first,
            seconds=seconds,
            transport=transport,
            sent=talk["sent"],
            answered=sum(report["sent"] for report in reports),
            lost=lost(talk["sent"], everything, reported) + missing,
            doubled=doubled(everything) + sum(map(doubled, answers)),
            disordered=sum(map(disordered, [*handled, *answers])),
            reported=len(reported),
            resets=talk["resets"],
            gaps=talk["gaps"],
            back=max(0.0, talk["backAt"] - talk["repairedAt"]) / 1000,
        )


async def _try(row: Row, page: AnyTab) -> None:
    """Carry out the row's trial before the repair."""
    match row.trial:
        case "idle":
            gaps = await page.run("() => { talk.quiet = true; return talk.gaps; }")
            await page.wait("(gaps) => talk.gaps >= gaps + 2", gaps, timeout=DEADLINE)
            await page.run("() => void chat()")
        case "reconnect":
            for _ in range(10):
                await page.run("() => channel.reconnect()")
                await page.wait("channel.state === 'open'", timeout=DEADLINE)
                said = await page.run("() => talk.received.length")
                await page.wait("(said) => talk.received.length > said", said)
        case "":
            pass


@asynccontextmanager
async def _environment(
    row: Row, browser: Browser
) -> AsyncIterator[tuple[AnyTab, Proxy, list[Server]]]:
    """Start the servers and the proxy in front of them, and load a page through it."""
    async with AsyncExitStack() as stack:
        arguments = ["--no-access-log"]
        if row.tls:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="server-")))
            await make_certificate(folder)
            arguments += ["--ssl-certfile", str(folder / "certificate.pem")]
            arguments += ["--ssl-keyfile", str(folder / "key.pem")]
        servers = [
            await stack.enter_async_context(serving("tests.field.matrix.apps:app", *arguments))
            for _ in range(row.servers)
        ]
        roles = ("app", "other")
        upstreams = {role: server.port for role, server in zip(roles, servers, strict=False)}
        upstreams["mute"] = await stack.enter_async_context(_silent_upstream())
        proxy = await stack.enter_async_context(proxying(row.proxy, row.site, upstreams))
        secure = row.tls or row.site.tls
        port = upstreams["app"] if row.proxy.forward else proxy.port
        asked = f"http://127.0.0.1:{proxy.port}" if row.proxy.forward else None
        page = await stack.enter_async_context(browser.page(asked))
        await page.goto(f"{'https' if secure else 'http'}://127.0.0.1:{port}/", timeout=DEADLINE)
        yield page, proxy, servers


@asynccontextmanager
async def _silent_upstream() -> AsyncIterator[int]:
    """Run a server that accepts every upgrade, and then sends nothing. Yield its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                await upgraded_and_mute(head, reader, writer)
        finally:
            writer.close()
            tasks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _report(server: Server, secure: bool) -> dict[str, Any]:
    """Return what the handlers saw, requested without the proxy."""
    scheme = "https" if secure else "http"
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        answer = await client.get(f"{scheme}://127.0.0.1:{server.port}/report")
        found: dict[str, Any] = answer.json()
        return found
