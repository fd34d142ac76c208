"""The cost of a message, counted rather than timed, so that it is the same on every machine.

The tests count the calls that the package's own code makes. The clock advances only while all tasks
are idle, so no sweep runs in between. The bounds leave room for another version of Python and for
small changes, but not for a different order of cost. `make bench` measures times.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

import transport
from tests.support.clients.frame_client import FrameClient, frame_client
from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, Hub, Limits, as_websocket
from transport.bus.shared import SharedStore
from transport.protocol.server.session import ServerSession
from transport.server.runner import Runner
from transport.testing import ask, cluster, lines, opening, request, socket, stream
from transport.testing.store_model import StoreModel

PACKAGE = str(Path(transport.__file__).parent)
TESTING = str(Path(PACKAGE) / "testing")
LIMITS = Limits(sessions_per_address=100_000, opens_per_second=100_000)
TEXT = "x" * 64

# Bounds, each about a quarter above the value measured when it was set: calls per message, calls
# per session in a sweep, and bytes of Python objects per session. Lower them when the cost falls.
MAX_CALLS_ONE_BY_ONE = 103
MAX_CALLS_SIXTEEN_TOGETHER = 27
MAX_CALLS_WRAPPED = {1: 116, 16: 36}
MAX_CALLS_PER_MEMBER = 31
MAX_CALLS_PER_MEMBER_TEN_TOGETHER = 13
MAX_CALLS_SSE = {1: 225, 16: 35.5}
MAX_CALLS_LONGPOLL = {1: 335, 16: 42}
MAX_CALLS_BESIDE_POLL = {1: 200, 16: 37}
MAX_CALLS_STORED = {1: 275, 16: 46}
MAX_CALLS_STORED_AND_RELAYED = {1: 345, 16: 51}
MAX_CALLS_PER_SWEEP = 10.5
MAX_SESSION_BYTES = 7_000
MAX_CALLS_OPENING = {"websocket": 190, "sse": 230, "longpoll": 178}


class Count:
    """The number of calls made within `counting`."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        # The frame of a C call is the caller's; the frame of any other call is its own.
        if event in ("call", "c_call"):
            file = frame.f_code.co_filename
            if file.startswith(PACKAGE) and not file.startswith(TESTING):
                self.calls += 1


@contextmanager
def counting() -> Iterator[Count]:
    """Count the calls of the package in this thread."""
    count = Count()
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield count
    finally:
        sys.setprofile(before)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


def lobby_hub() -> Hub:
    async def share(channel: Channel) -> None:
        group = hub.group("lobby")
        await group.add(channel)
        async for message in channel:
            await group.send(message)

    hub = Hub(share, limits=LIMITS)
    return hub


class Page:
    """A client that numbers its messages and acknowledges what it has received."""

    def __init__(self, client: FrameClient) -> None:
        self.client: Any = client
        self.sent = 0
        self.received = 0

    async def send(self, count: int) -> None:
        """Send ``count`` messages in one frame, which also acknowledges."""
        await self.client.send([self.sent + 1, self.received, *[TEXT] * count])
        self.sent += count

    async def receive(self, count: int) -> int:
        """Receive ``count`` messages. Return the number of frames."""
        frames = 0
        while count > 0:
            frame = await self.client.frame()
            if isinstance(frame, list):
                frames += 1
                count -= len(frame) - 2
                self.received += len(frame) - 2
        assert count == 0
        return frames

    async def echoes(self, count: int, together: int = 1) -> int:
        """Send ``count`` messages and receive their echoes. Return the number of calls."""
        with counting() as counted:
            for _ in range(count // together):
                await self.send(together)
                assert await self.receive(together) == 1
        return counted.calls


@asynccontextmanager
async def pages(hub: Hub, count: int) -> AsyncIterator[list[Page]]:
    """Open ``count`` pages, each with a confirmed session."""
    async with hub.lifespan(), AsyncExitStack() as stack:
        opened = []
        for number in range(count):
            frame = opening(client=f"client-{number:016}", nonce=f"nonce-{number:022}")
            client = await stack.enter_async_context(frame_client(hub, "websocket", frame))
            await client.confirm()
            opened.append(Page(client))
        yield opened


async def test_websocket_echo_makes_few_calls() -> None:
    async with pages(Hub(echo), 1) as [page]:
        await page.echoes(20)
        assert await page.echoes(100) / 100 <= MAX_CALLS_ONE_BY_ONE
        assert await page.echoes(160, together=16) / 160 <= MAX_CALLS_SIXTEEN_TOGETHER


async def test_echo_of_wrapped_app_makes_few_calls() -> None:
    async with pages(Hub(as_websocket(wrapped)), 1) as [page]:
        await page.echoes(20)
        for together, bound in MAX_CALLS_WRAPPED.items():
            assert await page.echoes(160, together) / 160 <= bound


async def test_echo_cost_is_independent_of_session_count() -> None:
    costs = []
    for count in (2, 200):
        async with pages(Hub(echo, limits=LIMITS), count) as [page, *_]:
            await page.echoes(20)
            costs.append(await page.echoes(100))
    assert costs[0] == costs[1]


async def test_echo_cost_is_constant_over_session() -> None:
    async with pages(Hub(echo), 1) as [page]:
        await page.echoes(20)
        early = await page.echoes(100)
        await page.echoes(3200, together=16)
        assert await page.echoes(100) == pytest.approx(early, rel=0.02)


async def test_group_messages_share_frames_and_make_few_calls() -> None:
    costs = []
    for members in (10, 200):
        async with pages(lobby_hub(), members) as [speaker, *others]:
            for burst in (1, 10):
                with counting() as counted:
                    await speaker.send(burst)
                    for page in (speaker, *others):
                        assert await page.receive(burst) == 1
                costs.append(counted.calls / members / burst)
    small, small_burst, large, large_burst = costs
    assert large <= MAX_CALLS_PER_MEMBER
    assert large_burst <= MAX_CALLS_PER_MEMBER_TEN_TOGETHER
    # More members do not raise the cost of each.
    assert large <= small
    assert large_burst <= small_burst


@pytest.mark.parametrize("together", [1, 16])
async def test_stream_echo_makes_few_calls(together: int) -> None:
    hub = Hub(echo)
    async with hub.lifespan(), frame_client(hub, "sse") as client:
        page = Page(client)

        async def echoes() -> int:
            with counting() as counted:
                await page.send(together)
                await page.receive(together)
            return counted.calls

        await echoes()
        assert max([await echoes() for _ in range(10)]) / together <= MAX_CALLS_SSE[together]


@pytest.mark.parametrize("together", [1, 16])
async def test_post_beside_poll_makes_few_calls(together: int) -> None:
    """POL-4: its answer brings the echo."""
    hub = Hub(echo)
    async with hub.lifespan(), frame_client(hub, "longpoll") as client:
        poll = request(hub, "/poll", lines(client.head("poll", poll=1, ack=0)))
        sent = 0

        async def echoes() -> int:
            nonlocal sent
            with counting() as counted:
                data = [sent + 1, sent, *[TEXT] * together]
                answer = await ask(hub, "/send", lines(client.head(ack=sent), data))
            assert answer.frames[1] == [sent + 1, sent + together, *[TEXT] * together]
            sent += together
            return counted.calls

        await echoes()
        most = max([await echoes() for _ in range(10)]) / together
        assert most <= MAX_CALLS_BESIDE_POLL[together]
        assert poll.outbound.empty()


@pytest.mark.parametrize("together", [1, 16])
async def test_poll_echo_makes_few_calls(together: int) -> None:
    """For a client that does not name its mark in a POST."""
    hub = Hub(echo)
    async with hub.lifespan(), frame_client(hub, "longpoll") as client:
        page = Page(client)

        async def echoes() -> int:
            with counting() as counted:
                receiving = asyncio.create_task(page.receive(together))
                await asyncio.sleep(0)  # let the poll arrive first
                await page.send(together)
                assert await receiving == 1
            return counted.calls

        await echoes()
        assert max([await echoes() for _ in range(10)]) / together <= MAX_CALLS_LONGPOLL[together]


@asynccontextmanager
async def stored_page(*, is_relayed: bool) -> AsyncIterator[Page]:
    """Open a page whose session is in a store; if relayed, its home is another process."""

    def make_hub(store: SharedStore) -> Hub:
        return Hub(echo, store=store, name="test", limits=LIMITS)

    async with AsyncExitStack() as stack:
        processes = await stack.enter_async_context(cluster(make_hub, 2, store=StoreModel()))
        opened = frame_client(processes[0], "websocket", opening())
        client = await stack.enter_async_context(opened)
        await client.confirm()
        if is_relayed:
            frame = opening(2, session=client.token, epoch=client.opened["epoch"])
            resumed = frame_client(processes[1], "websocket", frame)
            client = await stack.enter_async_context(resumed)
            await client.confirm()
        yield Page(client)


@pytest.mark.parametrize(
    ("is_relayed", "bounds"), [(False, MAX_CALLS_STORED), (True, MAX_CALLS_STORED_AND_RELAYED)]
)
async def test_stored_echo_makes_few_calls(is_relayed: bool, bounds: dict[int, float]) -> None:
    """Those of a bus are not counted: the processes have one of the test."""
    async with stored_page(is_relayed=is_relayed) as page:
        await page.echoes(32, together=16)
        for together, bound in bounds.items():
            assert await page.echoes(48, together) / 48 <= bound


async def test_sweep_checks_each_session_once() -> None:
    costs = []
    for count in (50, 200):
        async with pages(Hub(echo, limits=LIMITS), count):
            await asyncio.sleep(1)
            with counting() as counted:
                await asyncio.sleep(1)  # four sweeps
            costs.append(counted.calls / 4 / count)
    assert costs[1] <= MAX_CALLS_PER_SWEEP
    assert costs[1] <= costs[0]


async def test_opening_makes_few_calls() -> None:
    hub = Hub(echo, limits=LIMITS)

    async def opens(turn: str) -> dict[str, int]:
        with counting() as websocket_calls:
            async with socket(hub, "/websocket") as ws:
                ws.send(opening(nonce="w" * 21 + turn))
                await ws.frame()
        with counting() as sse_calls:
            async with stream(hub, "/sse", opening(nonce="s" * 21 + turn)) as events:
                await events.frame()
        with counting() as longpoll_calls:
            await ask(hub, "/poll", lines(opening(nonce="p" * 21 + turn)))
        return {
            "websocket": websocket_calls.calls,
            "sse": sse_calls.calls,
            "longpoll": longpoll_calls.calls,
        }

    async with hub.lifespan():
        await opens("1")  # warm up: create objects that are made once
        calls = await opens("2")
    assert all(calls[name] <= most for name, most in MAX_CALLS_OPENING.items()), calls


async def test_ended_session_is_freed_without_cycle_collector() -> None:
    def kept() -> int:
        return sum(type(one) in (Runner, Channel, ServerSession) for one in gc.get_objects())

    close = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0}
    gc.collect()
    before = kept()
    gc.disable()
    try:
        async with pages(Hub(echo, limits=LIMITS), 20) as opened:
            assert kept() == before + 3 * 20
            for page in opened:
                await page.client.send(close)
                page.client.socket.leave()
            await asyncio.sleep(1)  # until the sweep has run
            assert kept() == before
    finally:
        gc.enable()


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer's memory would be counted too")
async def test_idle_session_uses_little_memory() -> None:
    async with pages(Hub(echo, limits=LIMITS), 20):
        pass  # warm up: create objects that are made once
    sizes = []
    for count in (20, 120):
        gc.collect()
        tracemalloc.start()
        try:
            async with pages(Hub(echo, limits=LIMITS), count):
                gc.collect()
                snapshot = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
        ours = snapshot.filter_traces(
            [
                tracemalloc.Filter(True, f"{PACKAGE}/*"),
                tracemalloc.Filter(False, f"{TESTING}/*"),
            ]
        )
        sizes.append(sum(trace.size for trace in ours.traces))
    assert (sizes[1] - sizes[0]) / 100 <= MAX_SESSION_BYTES
