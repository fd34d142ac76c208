"""Several processes over the memory store, and one that is replaced while clients are connected.

Both workers accept from the same socket. The test selects the one that serves by stopping the
other.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.integration.hosts.hosts import eventually
from tests.support.browsers.chromium import chromium, tab
from tests.support.clients.frame_client import TRANSPORTS, encode, open_frame
from tests.support.servers.listener import Listener, listeners
from tests.support.servers.uvicorn import UVICORN, Server, serving
from transport import Channel, Hub, connect
from transport.client import Pacing
from transport.testing import ask as in_process
from transport.testing import lines, opening

APP = "tests.integration.hosts.apps:app"
WORKERS = replace(UVICORN, ready="Application startup complete", processes=2)
WARNING = "store=Workers()"
ATTEMPTS = 4
RETRY_BASE = 0.2
WAITS = (0.1 + 0.2 + 0.4) * 0.9
"""Seconds between successive attempts without randomness; each wait is twice the previous one."""


@pytest.fixture
async def workers() -> AsyncIterator[Server]:
    """Run uvicorn with two workers; its log may contain nothing bad except the warning."""
    async with serving(APP, "--workers", "2", "--no-access-log", host=WORKERS) as server:
        yield server


def pids_of(server: Server) -> list[int]:
    """Return the process ids of the workers, in the order in which they began to serve."""
    return [
        int(found.group(1))
        for line in server.log
        if (found := re.search(r"Started server process \[(\d+)\]", line))
    ]


@contextmanager
def only_worker(pid: int, pids: list[int]) -> Iterator[None]:
    """Let only this worker accept the connections made while the block runs."""
    others = [other for other in pids if other != pid]
    try:
        for other in others:
            os.kill(other, signal.SIGSTOP)
            until = time.monotonic() + 30
            while state_of(other) != "T":
                assert time.monotonic() < until, "the worker did not stop"
                time.sleep(0.001)
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


def state_of(pid: int) -> str:
    """Return the process state as in ps: ``T`` is stopped."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


async def parked(server: Server) -> None:
    """Wait until the serving process has a parked poll."""

    async def has_parked_poll() -> bool:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            return bool((await client.get(f"{server.url}/statistics")).json()["polls"] == 1)

    await eventually(has_parked_poll)


async def ask(server: Server, path: str, *frames: dict[str, Any]) -> httpx.Response:
    """Send a POST on a separate connection."""
    headers = {"content-type": "application/x-ndjson"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, verify=False) as client:
        return await client.post(f"{server.url}{path}", content=encode(*frames))


async def open_on_worker(server: Server, pid: int, pids: list[int]) -> dict[str, Any]:
    """Open a session on this worker. Return the fields that its client sends with each request."""
    with only_worker(pid, pids):
        answer = await ask(server, "/mounted/poll", open_frame())
    opened = answer.json()
    assert opened["verdict"] == "new"
    return {key: opened[key] for key in ("session", "client", "attach", "epoch")}


async def test_request_to_other_worker_is_refused_and_logged(workers: Server) -> None:
    """EPO-1: there is one warning in the log; sessions on one connection are not affected."""
    server, pids = workers, pids_of(workers)
    assert len(pids) == 2
    async with connect(f"{server.url}/mounted", trust_env=False) as channel:
        await channel.send("over WebSocket")
        assert await channel.receive() == "over WebSocket"
        for pid, other in (pids, reversed(pids)):
            session = await open_on_worker(server, pid, pids)
            for _ in range(3):
                with only_worker(other, pids):
                    for path, frame in (
                        ("send", {"type": "send", **session}),
                        ("poll", {"type": "poll", **session, "poll": 1, "ack": 0}),
                    ):
                        answer = await ask(server, f"/mounted/{path}", frame)
                        assert answer.status_code == 421
                        assert answer.json()["code"] == "wrong_process"
            with only_worker(pid, pids):
                answer = await ask(server, "/mounted/send", {"type": "send", **session})
                assert answer.status_code == 200, "the session is unchanged"
            with only_worker(other, pids):
                again = open_frame(**{**session, "attach": 2})
                reopened = (await ask(server, "/mounted/poll", again)).json()
                assert reopened["reset"]["reason"] == "restarted"
        await channel.send("as before")
        assert await channel.receive() == "as before"
        assert channel.transport == "websocket"
        assert channel.statistics().attaches == 1
    # The process that began later may consider the other its predecessor.
    assert sum(WARNING in line for line in server.log) == 1, "\n".join(server.log)


async def test_clients_of_previous_process_cause_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A restart is distinguished from a second process."""

    async def silent(channel: Channel) -> None:
        async for _ in channel:
            pass

    first, second = Hub(silent), Hub(silent)

    async def come(hub: Hub, other: Hub) -> int:
        opened = (await in_process(other, "/poll", lines(opening()))).frames[0]
        session = {key: opened[key] for key in ("session", "client", "attach", "epoch")}
        caplog.clear()
        for attach in (2, 3):
            answer = await in_process(hub, "/send", lines({"type": "send", **session}))
            assert answer.status == 421
            again = open_frame(**{**session, "attach": attach})
            verdict = (await in_process(hub, "/poll", lines(again))).frames[0]
            assert verdict["reset"]["reason"] == "restarted"
        return sum(WARNING in record.message for record in caplog.records)

    assert (await in_process(first, "/poll", lines(opening()))).status == 200
    assert await come(second, first) == 0
    assert await come(first, second) == 1


async def test_sigterm_ends_all_workers_and_tells_every_client(workers: Server) -> None:
    """DRN-1: every client gets a drain, and all workers end."""
    pids = pids_of(workers)
    async with AsyncExitStack() as stack:
        clients: list[Listener] = []
        for pid in pids:
            with only_worker(pid, pids):
                entered = listeners(f"{workers.url}/mounted", *TRANSPORTS)
                clients += await stack.enter_async_context(entered)
                await parked(workers)
        await workers.stop()
        for client in clients:
            await client.until_ended()
            assert client.frames[-1]["type"] == "drain", client


async def test_reload_drains_connected_clients(tmp_path: Path) -> None:
    """The end of the reloader ends both of its processes."""
    module = tmp_path / "reloaded.py"
    module.write_text("from tests.integration.hosts.apps import app\n", "utf-8")
    arguments = ["--reload", "--reload-dir", str(tmp_path), "--app-dir", str(tmp_path)]
    reloader = replace(UVICORN, ready="Application startup complete")
    async with (
        serving("reloaded:app", *arguments, host=reloader) as server,
        listeners(f"{server.url}/mounted", *TRANSPORTS) as clients,
    ):
        await parked(server)
        with anyio.fail_after(30):
            while not any("detected changes" in line for line in server.log):
                module.write_text(module.read_text("utf-8") + "#\n", "utf-8")
                await anyio.sleep(0.2)  # the reloader may not watch yet
        await server.until_log("Application startup complete", 2)
        for client in clients:
            await client.until_ended()
            assert client.frames[-1]["type"] == "drain", client
        async with listeners(f"{server.url}/mounted", *TRANSPORTS) as again:
            await parked(server)
            await server.stop()
            for client in again:
                await client.until_ended()
                assert client.frames[-1]["type"] == "drain", client


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_client_whose_posts_go_elsewhere_waits_and_explains(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It retries at growing intervals until it may use a WebSocket; then nothing is lost."""
    monkeypatch.setattr(random, "random", lambda: 0.5)
    async with serving(APP, "--no-access-log") as server:
        began = time.monotonic()
        async with connect(
            f"{server.url}/chat",
            transports=[transport],
            trust_env=False,
            pacing=Pacing(retry_base=RETRY_BASE),
        ) as channel:
            await channel.send("kept")

            async def tried() -> bool:
                return len(channel.explain()) >= ATTEMPTS

            await eventually(tried, within=30)
            assert time.monotonic() - began > WAITS
            attempts = channel.explain()[: ATTEMPTS - 1]
            assert all("wrong_process" in attempt.reason for attempt in attempts), attempts
            channel.transports = ["websocket", transport]
            with anyio.fail_after(30):
                assert await channel.receive() == "kept"
            assert channel.transport == "websocket"
            assert channel.statistics().resets == 0


@pytest.mark.browser
async def test_page_whose_posts_go_elsewhere_waits_and_explains() -> None:
    """The browser's client behaves the same."""
    async with (
        serving(APP, "--no-access-log") as server,
        chromium() as browser,
        tab(browser, server.url) as page,
    ):
        began = time.monotonic()
        await page.run(
            "(retryBase) => { Math.random = () => 0.5; "
            "start({ transports: ['sse'], retryBase, retryMax: 30 }); }",
            RETRY_BASE,
        )
        await page.run("() => sendAndKeep('kept')")
        await page.wait("(count) => channel.explain().length >= count", ATTEMPTS, timeout=30)
        assert time.monotonic() - began > WAITS
        attempts = (await page.run("() => channel.explain()"))[: ATTEMPTS - 1]
        assert all("wrong_process" in attempt["reason"] for attempt in attempts), attempts
        await page.run("() => { channel.transports = ['websocket', 'sse']; }")
        await page.wait("seen.includes('kept') && fates.kept === 'handled'")
        assert await page.run("() => [channel.transport, happened('reset')]") == ["websocket", []]
