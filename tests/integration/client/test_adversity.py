"""The client under adverse conditions: it never hangs, spins, or ends without an error."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, ChannelClosed, Hub, Limits, Stalled, Unreachable, Unsendable, connect
from transport.client import connector
from transport.client.connector import Connector

URL = "http://127.0.0.1:1/"
TRANSPORTS = ("websocket", "sse", "longpoll")


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error page of a proxy whose server is down."""
    await PlainTextResponse("<h1>503</h1>", 503)(scope, receive, send)


@dataclass(frozen=True)
class FixedRandom:
    """A random source for a connector: each wait is this part of the longest possible wait."""

    part: float

    def random(self) -> float:
        return self.part


@in_memory
async def test_close_gives_up_if_only_error_pages_answer() -> None:
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    async with connect(URL, transports=["sse"], trust_env=False) as channel:
        await channel.send("a")
        assert await channel.receive() == "a"
        network.serve(unavailable)
        network.cut()
        begun = loop.time()
        await channel.close()
    assert 25 < loop.time() - begun < 40  # Limits.closing is 30
    with pytest.raises(ChannelClosed, match="could not be reached") as caught:
        await channel.receive()
    assert caught.value.code == 1001


async def draining(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept the open, and then drain at once (DRN-1)."""
    await receive()
    await send({"type": "websocket.accept"})
    frame = json.loads((await receive())["text"])
    opened = {
        "type": "opened",
        "version": 1,
        "id": "a",
        "attach": frame["attach"],
        "client": frame["client"],
        "verdict": "resumed" if "session" in frame else "new",
        "received": 0,
        "handled": 0,
        "sent": 0,
        "epoch": "e",
        "limits": {},
        "timings": {},
        **({} if "session" in frame else {"session": "a.b"}),
    }
    for one in (opened, {"type": "drain", "retry_in": 0}):
        await send({"type": "websocket.send", "text": json.dumps(one)})
    await send({"type": "websocket.close", "code": 1012})


@in_memory
async def test_repeated_drains_do_not_cause_tight_loop() -> None:
    Network(draining)
    with anyio.move_on_after(600):
        async with connect(URL, transports=["websocket"], trust_env=False) as channel:
            await anyio.sleep(500)
            assert 10 < channel.statistics().attaches < 100


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_backoff_excludes_working_time(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A working period of any length resets the backoff to its length plus half a second."""
    monkeypatch.setattr(connector, "random", FixedRandom(1.0))
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    async with connect(URL, transports=[transport], trust_env=False) as channel:

        async def echo_then_wait(seconds: float) -> None:
            await channel.send("a")
            assert await channel.receive() == "a"
            await asyncio.sleep(seconds)

        await echo_then_wait(30)
        channel.reconnect()
        for age in (4.5, 2.5, 4.5):
            await echo_then_wait(age)
            network.cut()
            begun = loop.time()
            while channel.statistics().attaches < len(waits) + 3:  # noqa: ASYNC110 - it jumps
                await asyncio.sleep(0.01)
            waits.append(round(2 * (loop.time() - begun)) / 2)
    assert waits == [0.5, 1, 2]


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_backoff_excludes_suspended_time(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "random", FixedRandom(1.0))
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    async with connect(URL, transports=[transport], trust_env=False) as channel:
        await asyncio.sleep(30)
        channel.suspend()
        await asyncio.sleep(60)
        network.up = False
        channel.resume()
        await asyncio.sleep(0.3)
        network.up = True
        resumed = loop.time()
        await channel.send("a")
        assert await channel.receive() == "a"
        assert loop.time() - resumed < 3


@in_memory
async def test_connection_dropped_after_open_backs_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connector, "random", FixedRandom(1.0))
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    async with connect(URL, transports=["websocket"], trust_env=False) as channel:
        begun, attaches = loop.time(), 0
        while loop.time() < begun + 60:
            if attaches != (attaches := channel.statistics().attaches):
                await asyncio.sleep(0.02)
                network.cut()
            await asyncio.sleep(0.01)
        assert 3 < attaches < 10


@in_memory
# Not over polls: a poll and a POST may be in transit when everything is cut. They were sent before
# the failure, but arrive after an attempt that has already failed.
@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_attempts_are_limited_to_two_per_second(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit holds for any latency, and includes requests sent before the failure was known."""
    chance = random.Random(1)
    monkeypatch.setattr(connector, "random", FixedRandom(0.0))
    network = Network(Hub(echo))
    loop = asyncio.get_running_loop()
    attempts: list[float] = []

    async def credentials() -> None:
        await asyncio.sleep(chance.uniform(0, 0.5))

    def late() -> float:
        loop.call_later(after := chance.uniform(0, 0.5), record_attempt)
        return after

    def record_attempt() -> None:
        if not network.up:
            attempts.append(loop.time())

    async def speak(channel: Any) -> None:
        while True:
            await channel.send("a")
            await asyncio.sleep(0.05)

    network.late = late
    async with (
        connect(URL, transports=[transport], trust_env=False, credentials=credentials) as channel,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(speak, channel)
        for _ in range(40):
            await asyncio.sleep(chance.uniform(0, 4))
            network.up = False
            network.cut()
            await asyncio.sleep(chance.uniform(2, 5))
            network.up = True
        with anyio.fail_after(60):
            await channel.flush()
        tasks.cancel_scope.cancel()
    assert len(attempts) > 100
    nearest = min(third - first for first, third in zip(attempts, attempts[2:], strict=False))
    assert nearest > 1


@in_memory
async def test_unreachable_reports_reason_of_each_transport() -> None:
    Network(Hub(echo)).up = False
    with pytest.raises(Unreachable) as caught:
        async with connect(URL, trust_env=False):
            pass
    assert set(caught.value.reasons) == set(TRANSPORTS)
    assert "is down" in caught.value.reasons["websocket"]
    assert caught.value.reasons["sse"] == caught.value.reasons["longpoll"] != "no answer"


@in_memory
async def test_transport_that_cannot_start_reports_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """httpx raises such an error for a SOCKS proxy if its optional package is missing."""

    def missing(**_: Any) -> None:
        raise ImportError("the 'socksio' package is not installed")

    monkeypatch.setattr(httpx, "AsyncClient", missing)

    Network(Hub(echo))
    with pytest.raises(Unreachable, match="ImportError: the 'socksio' package"):
        async with connect(URL, transports=["sse"], trust_env=False):
            pass
    async with connect(URL, transports=["sse", "websocket"], trust_env=False) as channel:
        assert channel.transport == "websocket"
    assert {one.levelno for one in caplog.records if one.exc_info} == {logging.ERROR}


@in_memory
async def test_client_defect_closes_channel_with_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("oops")

    async def use() -> None:
        async with connect(URL, trust_env=False) as channel:
            monkeypatch.setattr(Connector, "begin", fail)
            await channel.send("a")
            await channel.receive()

    Network(Hub(echo))
    with pytest.raises(ChannelClosed, match="the client failed: KeyError: 'oops'") as caught:
        await use()
    assert caught.value.code == 1011
    assert "the client failed" in caplog.text


@in_memory
async def test_send_to_stalled_full_window_raises_stalled() -> None:
    """DAT-6: if the handler receives nothing, waiting senders fail, and no others."""
    proceed = anyio.Event()

    async def slow(channel: Channel) -> None:
        await proceed.wait()
        async for message in channel:
            await channel.send(message)

    Network(Hub(slow, limits=Limits(window_messages=2, stall=10)))
    loop = asyncio.get_running_loop()
    async with connect(URL, transports=["websocket"], trust_env=False) as channel:
        await channel.send("a")
        await channel.send("b")
        begun = loop.time()
        with pytest.raises(Stalled):
            await channel.send("c")
        assert 10 <= loop.time() - begun < 60
        waiting = [asyncio.create_task(channel.send(text)) for text in ("d", "e")]
        await anyio.sleep(1)
        assert not any(task.done() for task in waiting)
        proceed.set()
        assert [await channel.receive() for _ in range(4)] == ["a", "b", "d", "e"]
        assert [await task for task in waiting] == [3, 4]


@in_memory
async def test_send_waiting_for_window_raises_on_close() -> None:
    async def leave(channel: Channel) -> None:
        await anyio.sleep(5)

    Network(Hub(leave, limits=Limits(window_messages=1)))
    async with connect(URL, transports=["websocket"], trust_env=False) as channel:
        await channel.send("a")
        with pytest.raises(ChannelClosed, match="1000"):
            await channel.send("b")


def test_connect_with_invalid_arguments_raises() -> None:
    with pytest.raises(ValueError, match="Port"):
        connect("http://localhost:99999/chat")
    for wrong in ({1, 2}, {1: 2}, {"of": float("nan")}):
        with pytest.raises(Unsendable):
            connect(URL, credentials=wrong)


async def test_https_url_uses_tls_on_each_transport() -> None:
    """System certificates are used if no others are given, on all transports."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unreachable) as caught:
            async with connect(f"https://127.0.0.1:{port}/", trust_env=False, timeout=2):
                pass
    assert set(caught.value.reasons) == set(TRANSPORTS)
    assert all("SSL" in reason for reason in caught.value.reasons.values()), caught.value.reasons


@pytest.mark.parametrize("transport", TRANSPORTS)
@in_memory
async def test_second_cancellation_leaves_no_task(transport: str) -> None:
    """The loop's end may cancel again while the first cancellation still sends its last frame."""

    network = Network(Hub(echo))

    async def use() -> None:
        async with connect(URL, transports=[transport], trust_env=False) as channel:
            await channel.send("a")
            assert await channel.receive() == "a"
            entered.set()
            await channel.receive()

    for turns in range(12):
        entered = asyncio.Event()
        task = asyncio.create_task(use())
        await entered.wait()
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("transport.")]
        assert all(end.closing for end in network.ends)
