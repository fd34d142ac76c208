"""`transport.testing`: the examples in its document, and its other guarantees."""

from __future__ import annotations

import asyncio
import re
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from starlette.types import Receive, Scope, Send

from transport import Channel, ChannelClosed, Hub, Limits, SessionReset, TooLarge, Unacknowledged
from transport.protocol.client.events import WasReset
from transport.protocol.frames import TransportKind
from transport.protocol.server.counters import counters_of
from transport.testing import Faults, JumpingEventLoop, Page, Pair, drive

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/testing.md").read_text("utf-8")
TRANSPORTS = ("websocket", "sse", "longpoll")


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


def jumping(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
        return runner.run(work)


def test_examples_of_document_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "test_document.py").write_text("\n".join(blocks), "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n", "utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{sum(block.count('async def test_') for block in blocks) + 3} passed" in ran.stdout


def test_package_does_not_import_testing() -> None:
    code = "import sys, transport; sys.exit('transport.testing' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# The clock


def test_jumping_loop_advances_by_sleeping() -> None:
    async def sleeps() -> float:
        order: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_later(7200, order.append, "second")
        loop.call_later(3600, order.append, "first")
        before = loop.time()
        await asyncio.sleep(86_400)
        assert order == ["first", "second"]
        return loop.time() - before

    assert jumping(sleeps()) == pytest.approx(86_400)


def test_jumping_loop_waits_for_threads() -> None:
    async def works() -> str:
        def slow() -> str:
            time.sleep(0.05)
            return "done"

        async with asyncio.timeout(0.001):
            return await asyncio.to_thread(slow)

    assert jumping(works()) == "done"


def test_jumping_loop_refuses_sockets() -> None:
    async def opens() -> None:
        loop = asyncio.get_running_loop()
        one, other = sockets.socketpair()
        with one, other:
            one.setblocking(False)
            with pytest.raises(RuntimeError, match="ordinary event loop"):
                loop.add_writer(one, print)

    jumping(opens())


# The page


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_page_resumes_after_unnoticed_cut(transport: str) -> None:
    """LIV-1: the server detects the loss on its own."""

    async def work() -> None:
        hub = Hub(echo)
        async with drive(hub, transport=transport) as page:
            await page.send("a")
            page.cut(noticed=False)
            assert not page.connected
            (channel,) = hub.channels
            await asyncio.sleep(80)
            assert not channel.connected
            assert await page.resume()
            assert page.transport == transport
            assert await page.receive() == "a"

    jumping(work())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_page_retries_after_drain(transport: str) -> None:
    """DRN-1: a page attaches again, here without success."""

    async def work() -> None:
        hub = Hub(echo)
        async with drive(hub, transport=transport) as page:
            await hub.drain()
            await asyncio.sleep(30)
            assert not page.connected
            with pytest.raises(TimeoutError, match="no message arrived in 1 s"):
                await page.receive(within=1)

    jumping(work())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_acknowledged_raises_with_fate_of_send(transport: str) -> None:
    """RES-3, DAT-5."""

    async def deaf(channel: Channel) -> None:
        await channel.receive()
        await asyncio.sleep(1000)

    async def work() -> None:
        hub = Hub(deaf, limits=Limits(message=1000))
        async with drive(hub, transport=transport) as page:
            with pytest.raises(TooLarge):
                await page.send("x" * 1000)
            numbers = [await page.send(message) for message in ("a", "b")]
            await asyncio.sleep(1)
            page.cut()
            await asyncio.sleep(200)
            assert not await page.resume()
            fates = []
            for number in numbers:
                with pytest.raises(Unacknowledged) as caught:
                    await page.acknowledged(number)
                fates.append(caught.value.fate.value)
            assert fates == ["unknown", "not_handled"]
            with pytest.raises(SessionReset, match="expired"):
                await page.receive()

    jumping(work())


def test_receive_of_cut_page_says_so() -> None:
    async def work() -> None:
        async with drive(Hub(echo)) as page:
            page.cut()
            await page.send("a")
            with pytest.raises(TimeoutError, match="the page is away: resume it"):
                await page.receive()

    jumping(work())


def test_page_raises_what_application_raises() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("a mistake of the application")

    async def work() -> None:
        for transport in TRANSPORTS:
            with pytest.raises(KeyError, match="a mistake"):
                async with drive(broken, transport=transport):
                    pass

    jumping(work())


def test_drive_raises_if_refused() -> None:
    async def nobody(*_: object) -> None:
        return None

    async def work() -> None:
        for transport in TRANSPORTS:
            with pytest.raises(ChannelClosed) as caught:
                async with drive(Hub(echo, authenticate=nobody), transport=transport):
                    pass
            assert caught.value.code == 4401

    jumping(work())


async def test_page_works_on_any_event_loop() -> None:
    async with drive(Hub(echo)) as page:
        assert isinstance(page, Page)
        await page.send({"a": [1, b"".hex()]})
        assert await page.receive() == {"a": [1, ""]}
        await page.close(3000, "done")


# The pair


@pytest.mark.parametrize("transport", [*TransportKind, None], ids=str)
@pytest.mark.parametrize("seed", range(10))
def test_pair_delivers_once_over_lossy_link(seed: int, transport: TransportKind | None) -> None:
    """NUM-3: once, in order, in both directions; and the marks of both ends agree."""
    pair = Pair(
        seed,
        faults=Faults(cut=0.1, lose=0.2, repeat=0.2),
        transports=[transport] if transport else tuple(TransportKind),
        limits=Limits(window_messages=50),
    )
    pair.run(1)
    replies = 0
    for number in range(300):
        pair.send(number)
        if pair.server is not None and pair.server.outgoing.has_room(10):
            replies += 1
            pair.reply(replies)
        pair.run(0.05)
    pair.settle()
    pair.check_rest()
    assert pair.server is not None
    assert pair.handled == list(range(300))
    assert pair.received == list(range(1, replies + 1))
    assert pair.server.incoming.handled == pair.client.outbox.buffer.last
    assert pair.client.incoming.received == pair.server.outgoing.last
    assert not any(isinstance(event, WasReset) for event in pair.events)
    assert pair.client.outbox.replayed + counters_of(pair.server).replayed > 0


@pytest.mark.parametrize("transport", [*TransportKind, None], ids=str)
def test_pair_comes_to_rest_whenever_link_heals(transport: TransportKind | None) -> None:
    """ATT-3, MRK-3, MRK-6: an ack that is lost with its connection is known by the next."""
    for seed in range(100):
        pair = Pair(
            seed,
            faults=Faults(cut=0.3, lose=0.2),
            transports=[transport] if transport else tuple(TransportKind),
        )
        pair.run(1)
        for number in range(4):
            if pair.server is not None:
                pair.reply(number)
            pair.run(0.1)
        pair.settle()
        pair.check_rest()


def test_pair_comes_to_rest_after_close() -> None:
    pair = Pair(1, faults=Faults(cut=0.2, lose=0.2))
    pair.run(1)
    assert pair.server is not None
    pair.reply("a")
    pair.client.close(1000, "")
    pair.server.close(1000, "", "app", pair.now)
    assert pair.unsettled()
    pair.settle()
    pair.check_rest()
    assert pair.server.ending is not None


def test_pair_without_server_is_not_settled() -> None:
    assert Pair(1).unsettled() == ["no session has begun"]


def test_pair_is_deterministic_for_same_seed() -> None:
    def told(seed: int) -> tuple[float, int, str]:
        pair = Pair(seed, faults=Faults(cut=0.2))
        for number in range(100):
            pair.send(number)
            pair.run(0.05)
        pair.settle()
        return pair.now, pair.attaches, str(pair.events)

    assert told(7) == told(7)
    assert told(7)[1] > 3
