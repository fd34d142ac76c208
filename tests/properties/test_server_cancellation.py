"""Cancellation at every await of the server: of each ASGI call, of a handler's waits, of a drain.

A conversation is had again and again, over a page that comes back as clients do. Each time the call
that runs is cancelled one await later than the time before: once natively, as a server does that
goes down, and once by a scope around it, which cancels each further await too, as a middleware with
a timeout does. Whatever was cut off, all of the conversation takes place, once and in order, and
nothing of it stays behind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator
from itertools import permutations
from types import coroutine
from typing import Any

import anyio
import pytest
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport import Channel, ChannelClosed, Hub, Identity, Limits, MemoryStore
from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record
from transport.testing import JumpingEventLoop, drive, until

TRANSPORTS = ("websocket", "sse", "longpoll")
PATHS = {"websocket": "/websocket", "sse": "/sse", "longpoll": "/poll"}
LIMITS = Limits(
    heartbeat=5,
    poll_hold=5,
    ttl=30,
    closing=5,
    tombstone=5,
    nonce=5,
    drain_grace=2,
    drain_window=1,
)


@coroutine
def counted(work: Any, point: Callable[[], None]) -> Generator[Any, Any, Any]:
    """Await ``work``; call ``point`` each time before it waits."""
    error: BaseException | None = None
    while True:
        try:
            waits_for = work.send(None) if error is None else work.throw(error)
        except StopIteration as stop:
            return stop.value
        error = None
        point()
        try:
            yield waits_for
        except BaseException as thrown:  # noqa: BLE001 - into the work, as the task would
            error = thrown


class Cancels:
    """Cancels the ASGI call that is at the ``at``-th await of all, counted over all calls.

    Their `receive` and `send` wait before and after what they do, as in a server that is busy. So
    the awaits of tasks that a call has begun are counted too, where they send.

    Args:
        hub: the application.
        at: from 1.
        level: whether by a scope.
    """

    def __init__(self, hub: Hub, at: int, *, level: bool) -> None:
        self.app: ASGIApp = hub
        self.hub = hub
        self.at = at
        self.level = level
        self.count = 0
        self.where = ""
        self.calls: Counter[str] = Counter()
        """That run now, by their path."""
        self.left: Counter[str] = Counter()
        """Connections that stood without a call when the one had ended that was cancelled."""

    @property
    def fired(self) -> bool:
        return self.count >= self.at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        cancel: Callable[[], object] = task.cancel

        def point() -> None:
            self.count += 1
            if self.count == self.at:
                self.where = path
                cancel()

        async def pause() -> None:
            if asyncio.current_task() is not task:
                point()  # else `counted` does it
            await asyncio.sleep(0)

        async def receiving() -> Message:
            await pause()
            # No wait behind it: what a server has handed over it does not take back.
            return await receive()

        async def sending(message: Message) -> None:
            await pause()
            await send(message)
            await pause()

        before, path = self.fired, str(scope["path"])
        self.calls[path] += 1
        work = self.app(scope, receiving, sending)
        try:
            if self.level:
                with anyio.CancelScope() as around:
                    cancel = around.cancel
                    await counted(work, point)
            else:
                await counted(work, point)
        finally:
            self.calls[path] -= 1
            if self.fired and not before:
                self.left = Counter(self.standing()) - self.calls

    def standing(self) -> Iterator[str]:
        """Paths of which a connection stands: of a long poll, one that waits for an answer."""
        for channel in self.hub.channels:
            for one in channel._driver.session.attachments.live:
                if one.writable:
                    yield PATHS[one.transport.value]


class BusyStore(MemoryStore):
    """Waits before and after each step, as one that asks another process does."""

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        await asyncio.sleep(0)
        found = await super().open(nonce, record, now, keep)
        await asyncio.sleep(0)
        return found

    async def find(self, session_id: str, now: float) -> Record | None:
        await asyncio.sleep(0)
        found = await super().find(session_id, now)
        await asyncio.sleep(0)
        return found

    async def bury(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        await asyncio.sleep(0)
        await super().bury(session_id, tombstone, until)
        await asyncio.sleep(0)

    async def forget(self, session_id: str) -> None:
        await asyncio.sleep(0)
        await super().forget(session_id)


async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
    """Everybody, for a while."""
    await asyncio.sleep(0)
    return Identity("ada", expires=time.time() + 12)


class World:
    """A hub with an echo, and what is left of it."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.store = BusyStore()
        self.hub = Hub(self.echo, store=self.store, limits=LIMITS, authenticate=authenticate)

    async def echo(self, channel: Channel) -> None:
        await channel.send("hello")
        async for message in channel:
            self.got.append(message)
            await channel.send(message)

    async def gone(self) -> None:
        """Nothing stays: after all times that anything is kept for."""
        runtime = self.hub._lifecycle.current
        assert runtime is not None
        registry = runtime.registry
        await asyncio.sleep(LIMITS.closing + 6.1)  # a stuck connection is given 5 s
        assert self.hub.statistics().sessions == 0
        assert not registry._closing
        await asyncio.sleep(LIMITS.tombstone + LIMITS.nonce + 0.5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        loop: Any = asyncio.get_running_loop()
        assert [one for one in loop._scheduled if not one.cancelled()] == [registry._timer]
        admission = registry._admission
        assert admission._total == 0
        kept: list[Any] = [admission._subjects, admission._addresses, admission._opens]
        kept += [self.store._records, self.store._nonces, self.store._tombstone_expiry]
        assert kept == [{}] * 6
        assert not registry._tasks


def cancelled_everywhere(
    conversation: Callable[[World, ASGIApp], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    *,
    level: bool,
) -> int:
    """Have the conversation until no await of it is left to be cancelled; how many there were."""

    async def once(at: int) -> Cancels:
        world = World()
        app = Cancels(world.hub, at, level=level)
        try:
            await conversation(world, app)
            assert not app.left
            await world.gone()
        except BaseException as error:
            error.add_note(f"cancelled at await {at}, in {app.where or 'none'}")
            raise
        return app

    at = 1
    while True:
        with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
            fired = runner.run(once(at)).fired
        logged = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert logged == [], f"cancelled at await {at}"
        if not fired:
            return at - 1
        at += 1


modes = pytest.mark.parametrize("level", [False, True], ids=["native", "level"])


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_conversation(transport: str, level: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Open, data, poll, POST, renew, a cut, close: NUM-4, ATT-4."""

    async def conversation(world: World, app: ASGIApp) -> None:
        async with drive(app, transport=transport, credentials="ada's") as page:
            await page.send("a")
            await page.send(b"b")
            assert await page.receive(within=20) == "hello"
            assert [await page.receive(within=20) for _ in range(2)] == ["a", b"b"]
            await asyncio.sleep(14)  # the credentials expire
            await page.send("c")
            page.cut()
            await page.send(["d"])
            assert await page.resume(within=20)
            assert [await page.receive(within=20) for _ in range(2)] == ["c", ["d"]]
            await page.acknowledged(4, within=20)
            await page.close(within=20)
        assert world.got == ["a", b"b", "c", ["d"]]
        statistics = world.hub.statistics()
        assert (statistics.opened, statistics.resets) == (1, 0)

    assert cancelled_everywhere(conversation, caplog, level=level) > 30


@modes
@pytest.mark.parametrize("pair", list(permutations(TRANSPORTS, 2)), ids="-".join)
def test_a_switch_in_mid_stream(
    pair: tuple[str, str], level: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """RES-1: an attach on another transport, beside the old one, and then in its place."""

    async def conversation(world: World, app: ASGIApp) -> None:
        async with drive(app, transport=pair[0]) as page:
            await page.send("a")
            page.transport = pair[1]
            await page.send("b")
            got = [await page.receive(within=20) for _ in range(3)]
            await page.close(within=20)
        assert (world.got, got) == (["a", "b"], ["hello", "a", "b"])
        assert world.hub.statistics().opened == 1

    assert cancelled_everywhere(conversation, caplog, level=level) > 20


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_handler_that_closes(
    transport: str, level: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """CLS-1, CLS-5: what it sent before arrives, then its close."""

    async def conversation(world: World, app: ASGIApp) -> None:
        async with drive(app, transport=transport) as page:
            assert await page.receive(within=20) == "hello"
            await page.send("last")
            for channel in world.hub.channels:
                await until(lambda: world.got == ["last"])
                await channel.send("bye")
                await channel.close(4000, "enough")
            assert await page.receive(within=20) == "last"
            assert await page.receive(within=20) == "bye"
            with pytest.raises(ChannelClosed) as caught:
                await page.receive(within=20)
            assert (caught.value.code, caught.value.reason) == (4000, "enough")

    assert cancelled_everywhere(conversation, caplog, level=level) > 15


# Where nothing of the network is cancelled: the application's own waits


def at_every_await(
    work: Callable[[Callable[[Awaitable[Any]], Awaitable[bool]]], Awaitable[None]],
) -> int:
    """Run ``work`` until none of what it has run by its argument is left to be cancelled.

    The argument awaits something, natively or by a scope cancelled at its next await; True where it
    was.
    """

    async def once(at: int, *, level: bool) -> bool:
        count = 0

        async def run(inner: Awaitable[Any]) -> bool:
            nonlocal count
            cancel: Callable[[], object] = lambda: None  # noqa: E731 - set below

            def point() -> None:
                nonlocal count
                count += 1
                if count == at:
                    cancel()

            if level:
                with anyio.CancelScope() as scope:
                    cancel = scope.cancel
                    await counted(inner, point)
                return scope.cancelled_caught
            task = asyncio.ensure_future(counted(inner, point))
            cancel = task.cancel
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()
            return task.cancelled()

        await work(run)
        return count >= at

    at = 1
    for level in (False, True):
        at = 1
        while True:
            with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
                if not runner.run(once(at, level=level)):
                    break
            at += 1
    return at - 1


Run = Callable[[Awaitable[Any]], Awaitable[bool]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_handlers_waits(transport: str) -> None:
    """A receive, send or acknowledged that is cancelled has taken, sent and left nothing."""

    async def work(run: Run) -> None:
        got: list[Any] = []

        async def handler(channel: Channel) -> None:
            async def receive() -> None:
                got.append(await channel.receive())

            for _ in range(3):
                while await run(receive()):
                    pass
            numbers = []

            async def send(message: str) -> None:
                numbers.append(await channel.send(message))

            for message in ("x", "y", "z"):
                while await run(send(message)):
                    pass
                while await run(channel.acknowledged(numbers[-1])):
                    pass
            assert numbers == [1, 2, 3]
            runner = channel._driver
            waiting: list[Any] = [*runner.window.senders, *runner._ack_waiters]
            assert waiting == []
            assert runner._message is None

        hub = Hub(handler, limits=Limits(window_messages=1))
        async with drive(hub, transport=transport) as page:
            for message in ("a", "b", "c"):
                await page.send(message)
            assert [await page.receive() for _ in range(3)] == ["x", "y", "z"]
            with pytest.raises(ChannelClosed) as caught:
                await page.receive()
        assert caught.value.code == 1000
        assert got == ["a", "b", "c"]

    assert at_every_await(work) >= 3


def test_a_drain(caplog: pytest.LogCaptureFixture) -> None:
    """DRN-1: a drain that is cancelled may be repeated, and ends as one that was not."""
    ended: list[str] = []

    async def handler(channel: Channel) -> None:
        try:
            async for _ in channel:
                pass
            await asyncio.sleep(1)  # the grace is longer
        finally:
            ended.append(channel.id)

    async def work(run: Run) -> None:
        ended.clear()
        hub = Hub(handler, limits=LIMITS)
        async with drive(hub) as one, drive(hub, transport="sse") as two:
            while await run(hub.drain()):
                assert hub.statistics().connections == dict.fromkeys(TRANSPORTS, 0)
            assert sorted(ended) == sorted([str(one.id), str(two.id)])

    assert at_every_await(work) >= 1
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_a_lifespan_that_is_cancelled_leaves_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """Its own drain is cut short: handlers are cancelled, and the loop is let go."""

    async def deaf(channel: Channel) -> None:
        await asyncio.Event().wait()

    async def work(run: Run) -> None:
        hub = Hub(deaf, limits=LIMITS)

        async def serve() -> None:
            async with hub.lifespan(), drive(hub):
                pass

        await run(serve())
        await asyncio.sleep(0.1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(20)
        loop: Any = asyncio.get_running_loop()
        assert not [one for one in loop._scheduled if not one.cancelled()]

    assert at_every_await(work) >= 3
    expected = "handler_cancelled"
    assert all(expected in one.getMessage() for one in caplog.records)
