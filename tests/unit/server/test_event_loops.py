"""One hub and several event loops: at the same time, one after another, and in other threads."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from tests.support.confirmed_socket import confirmed_socket
from tests.support.counted import counted
from transport import Channel, Hub
from transport.testing import Page, drive, until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that httpx has a successor
    from fastapi.testclient import TestClient

TRANSPORTS = ["websocket", "sse", "longpoll"]


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


class Loop:
    """An event loop that runs in a thread, with one page of a hub."""

    def __init__(self, portal: BlockingPortal, hub: Hub, transport: str) -> None:
        self._portal = portal
        self._hub = hub
        self._transport = transport
        self._page: Page | None = None

    def open(self) -> None:
        self._portal.call(self._open)

    async def _open(self) -> None:
        self._page = Page(self._hub, transport=self._transport)
        await self._page.resume()

    def echoes(self, message: str) -> None:
        self._portal.call(self._echo, message)

    async def _echo(self, message: str) -> None:
        assert self._page is not None
        await self._page.send(message)
        assert await self._page.receive() == message

    def enter_lifespan(self) -> None:
        async def enter() -> None:
            async with self._hub.lifespan():
                pass

        self._portal.call(enter)

    def close(self) -> None:
        if self._page is not None:
            self._portal.call(self._page.stop)


@contextmanager
def two_loops(hub: Hub, transport: str = "websocket") -> Iterator[tuple[Loop, Loop]]:
    with ExitStack() as stack:
        first, second = (
            Loop(stack.enter_context(start_blocking_portal()), hub, transport) for _ in range(2)
        )
        try:
            yield first, second
        finally:
            first.close()
            second.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_second_live_loop_is_refused_and_first_goes_on(transport: str) -> None:
    hub = Hub(echo)
    with two_loops(hub, transport) as (first, second):
        first.open()
        first.echoes("before")
        for _ in range(2):
            with pytest.raises(RuntimeError) as caught:
                second.open()
            text = str(caught.value)
            assert "one hub for each server" in text
            assert "with TestClient(app)" in text
            assert text.count("<") == 2  # both loops
        first.echoes("after")
        assert counted(hub).sessions == 1
        assert counted(hub).opened == 1


def test_lifespan_of_second_live_loop_is_refused() -> None:
    """Two servers in threads: the second does not start, and the first is not drained."""
    with two_loops(Hub(echo)) as (first, second):
        first.open()
        with pytest.raises(RuntimeError, match="one hub for each server"):
            second.enter_lifespan()
        first.echoes("after")


def test_lifespan_that_ends_late_does_not_stop_later_loop() -> None:
    """A loop that was left without ending its lifespan, and whose remains are closed later."""
    hub = Hub(echo)
    lifespan = hub.lifespan()
    old = asyncio.new_event_loop()
    old.run_until_complete(lifespan.__aenter__())
    with two_loops(hub) as (second, _):
        second.open()
        old.run_until_complete(lifespan.__aexit__(None, None, None))
        second.echoes("still served")
    old.run_until_complete(old.shutdown_asyncgens())
    old.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_loops_one_after_another_are_served(transport: str) -> None:
    hub = Hub(echo)
    for number in range(3):
        with two_loops(hub, transport) as (loop, _):
            loop.open()
            loop.echoes(f"message {number}")
            assert counted(hub).sessions == 1


def test_loop_that_was_stopped_but_not_closed_is_replaced() -> None:
    hub = Hub(echo)

    async def converse() -> None:
        async with drive(hub) as page:
            await page.send("hello")
            assert await page.receive() == "hello"

    loops = [asyncio.new_event_loop() for _ in range(2)]
    for loop in loops:
        loop.run_until_complete(converse())
    for loop in loops:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.close()


def test_two_threads_that_start_a_hub_get_one_runtime() -> None:
    """Exactly one of them serves."""
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def opens(loop: Loop) -> None:
        barrier.wait(10)
        try:
            loop.open()
        except RuntimeError:
            outcomes.append("refused")
        else:
            outcomes.append("served")

    for _ in range(20):
        outcomes.clear()
        with two_loops(Hub(echo)) as loops:
            threads = [threading.Thread(target=opens, args=[loop]) for loop in loops]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert sorted(outcomes) == ["refused", "served"]


# As FastAPI documents its TestClient


def chat() -> tuple[FastAPI, Hub]:
    hub = Hub(echo)
    app = FastAPI(lifespan=hub.lifespan)
    app.mount("/chat", hub)
    return app, hub


OPEN = (
    '{"type":"open","versions":[1],"client":"client-%016d","nonce":"nonce-%022d","attach":1,'
    '"received":0,"first_retained":1}'
)


def hello(socket: Any, number: int) -> None:
    socket.send_text(OPEN % (number, number))
    assert '"verdict":"new"' in socket.receive_text()
    socket.send_text('{"type":"ack","ack":0}')


def test_two_pages_of_client_without_with_are_explained() -> None:
    app, _ = chat()
    client = TestClient(app)
    with client.websocket_connect("/chat/websocket") as first:
        hello(first, 1)
        with (
            pytest.raises(RuntimeError, match=r"with TestClient\(app\)"),
            client.websocket_connect("/chat/websocket"),
        ):
            pass
        first.send_text('[1,0,"x"]')
        assert first.receive_text() == '[1,1,"x"]'


def test_two_pages_of_client_with_with_are_served() -> None:
    app, hub = chat()
    with (
        TestClient(app) as client,
        client.websocket_connect("/chat/websocket") as first,
        client.websocket_connect("/chat/websocket") as second,
    ):
        hello(first, 1)
        hello(second, 2)
        for socket in (first, second):
            socket.send_text('[1,0,"x"]')
            assert socket.receive_text() == '[1,1,"x"]'
        assert counted(hub).sessions == 2


def test_clients_one_after_another_are_served() -> None:
    app, _ = chat()
    for number in (1, 2):
        with TestClient(app).websocket_connect("/chat/websocket") as socket:
            hello(socket, number)


# Calls from other threads


class Served:
    """A hub with one session, and what tests call on it."""

    def __init__(self, hub: Hub, channel: Channel) -> None:
        self.hub = hub
        self.channel = channel
        self.group = hub.group("lobby")


CALLS: dict[str, tuple[Callable[[Served], Any], str]] = {
    "hub.broadcast": (lambda it: it.hub.broadcast("x"), "run(hub.broadcast, message)"),
    "hub.send_to": (lambda it: it.hub.send_to(it.channel.id, "x"), "run(hub.send_to, "),
    "hub.close_user": (lambda it: it.hub.close_user("ada"), "run(hub.close_user, subject)"),
    "hub.drain": (lambda it: it.hub.drain(), "run(hub.drain)"),
    "group.send": (lambda it: it.group.send("x"), "run(group.send, message)"),
    "channel.send": (lambda it: it.channel.send("x"), "run(channel.send, message)"),
    "channel.receive": (lambda it: it.channel.receive(), "run(channel.receive)"),
    "channel.close": (lambda it: it.channel.close(), "run(channel.close)"),
    "channel.acknowledged": (lambda it: it.channel.acknowledged(0), "run(channel.acknowledged, "),
    "async for": (lambda it: it.channel.__anext__(), "run(channel.receive)"),
}
SYNC_CALLS: dict[str, tuple[Callable[[Served], Any], str]] = {
    "group.add": (lambda it: it.group.add(it.channel), "run_sync(group.add, channel)"),
    "group.discard": (lambda it: it.group.discard(it.channel), "run_sync(group.discard, channel)"),
}


async def in_new_loop(call: Callable[[], Any]) -> None:
    """Make a call as ``asyncio.run(...)`` in a worker thread does."""
    await anyio.to_thread.run_sync(lambda: asyncio.run(_awaited(call)))


async def without_loop(call: Callable[[], Any]) -> None:
    """Make a call in a worker thread that has no event loop."""

    def step() -> None:
        made = call()
        if asyncio.iscoroutine(made):
            try:
                made.send(None)
            finally:
                made.close()

    await anyio.to_thread.run_sync(step)


async def _awaited(call: Callable[[], Any]) -> None:
    made = call()
    if made is not None:
        await made


@pytest.mark.parametrize("elsewhere", [in_new_loop, without_loop])
@pytest.mark.parametrize("name", [*CALLS, *SYNC_CALLS])
async def test_call_in_other_thread_says_what_to_write(
    name: str, elsewhere: Callable[[Callable[[], Any]], Awaitable[None]]
) -> None:
    hub = Hub(echo)
    call, advice = {**CALLS, **SYNC_CALLS}[name]
    async with confirmed_socket(hub) as ws:
        (channel,) = hub.channels
        served = Served(hub, channel)
        with pytest.raises(RuntimeError) as caught:
            await elsewhere(lambda: call(served))
        assert f"anyio.from_thread.{advice}" in str(caught.value)
        assert "another thread" in str(caught.value)
        # It had no effect, and the channel goes on.
        assert len(served.group) == 0
        ws.send([1, 0, "as before"])
        assert await ws.frame() == [1, 1, "as before"]


async def test_advice_of_error_works() -> None:
    """`anyio.from_thread.run` and `asyncio.run_coroutine_threadsafe`, as the error says."""
    hub = Hub(echo)
    async with confirmed_socket(hub) as ws:
        (channel,) = hub.channels
        group = hub.group("lobby")
        loop = asyncio.get_running_loop()

        def in_worker_thread() -> None:
            _ = anyio.from_thread.run_sync(group.add, channel)
            anyio.from_thread.run(hub.broadcast, 1)
            anyio.from_thread.run(group.send, 2)
            assert anyio.from_thread.run(channel.send, 3) == 3
            sent = asyncio.run_coroutine_threadsafe(hub.send_to(channel.id, 4), loop)
            assert sent.result(30)

        await anyio.to_thread.run_sync(in_worker_thread)
        await until(lambda: channel.statistics().sent == 4)
        received: list[Any] = []
        while len(received) < 4:
            received += (await ws.frame())[2:]
        assert received == [1, 2, 3, 4]


async def test_counts_of_channels_can_be_read_in_any_thread() -> None:
    """A monitor may run in a thread of its own."""
    hub = Hub(echo)
    async with confirmed_socket(hub):
        (channel,) = hub.channels

        def read() -> tuple[int, int, int]:
            statistics = anyio.from_thread.run(hub.statistics)
            return statistics.sessions, channel.statistics().sent, len(hub.group("lobby"))

        assert await anyio.to_thread.run_sync(read) == (1, 0, 0)


async def test_calls_on_hub_that_does_not_run_reach_nobody() -> None:
    """Before its first request, and after its loop has ended, a hub belongs to no loop."""
    hub = Hub(echo)

    def in_thread() -> list[object]:
        async def calls() -> list[object]:
            await hub.broadcast("x")
            await hub.group("lobby").send("x")
            await hub.close_user("nobody")
            return [
                await hub.send_to("nobody", "x"),
                (await hub.statistics()).sessions,
            ]

        return asyncio.run(calls())

    assert await anyio.to_thread.run_sync(in_thread) == [False, 0]

    async def served() -> None:
        async with drive(hub):
            await hub.broadcast("x")

    await anyio.to_thread.run_sync(lambda: asyncio.run(served()))
    assert await anyio.to_thread.run_sync(in_thread) == [False, 0]
