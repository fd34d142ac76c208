"""Cancellation at every await of each ASGI call of the server.

A conversation is repeated with a page that reconnects as clients do. Each run cancels the current
call one await later than the run before. It is cancelled natively, as by a server that shuts down,
or by a cancel scope, which also cancels every later await, as a middleware with a timeout does. In
every case the whole conversation completes, once and in order, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import permutations
from typing import Any

import anyio
import pytest
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.properties.cancellation import LIMITS, TRANSPORTS, Watched, runs
from tests.support.counted import counted
from transport import Channel, ChannelClosed, Hub, Identity, MemoryStore
from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record
from transport.testing import drive, until

PATHS = {"websocket": "/websocket", "sse": "/sse", "longpoll": "/poll"}


class CallCanceller:
    """Cancels the ASGI call that reaches the ``at``-th await, counted over all calls.

    `receive` waits before it acts, and `send` before and after, as in a busy server. So the awaits
    of tasks that a call has started count too, when they send.

    Args:
        hub: the application.
        at: the number of the await, from 1.
        level: whether a cancel scope cancels, instead of `Task.cancel`.
    """

    def __init__(self, hub: Hub, at: int, *, level: bool) -> None:
        self.app: ASGIApp = hub
        self.hub = hub
        self.at = at
        self.level = level
        self.count = 0
        self.where = ""
        self.calls: Counter[str] = Counter()
        """The calls now running, by path."""
        self.remaining: Counter[str] = Counter()
        """Connections that remained without a call after the cancelled call had ended."""

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
                point()  # in the call's own task, `Watched` does this
            await asyncio.sleep(0)

        async def receiving() -> Message:
            await pause()
            # No wait after it: a server does not take back a message that it has delivered.
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
                    await Watched(work, lambda _: point())
            else:
                await Watched(work, lambda _: point())
        finally:
            self.calls[path] -= 1
            if self.fired and not before:
                self.remaining = Counter(self.open_paths()) - self.calls

    def open_paths(self) -> Iterator[str]:
        """Yield the path of each open connection; of long polls, only those not yet answered."""
        for channel in self.hub.channels:
            for one in channel._driver.session.attachments.live:
                if one.writable:
                    yield PATHS[one.transport.value]


class BusyStore(MemoryStore):
    """A store that waits before and after each step, like one that asks another process."""

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

    async def save_tombstone(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        await asyncio.sleep(0)
        await super().save_tombstone(session_id, tombstone, until)
        await asyncio.sleep(0)

    async def forget(self, session_id: str) -> None:
        await asyncio.sleep(0)
        await super().forget(session_id)


async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
    """Accept every client, with credentials that soon expire."""
    await asyncio.sleep(0)
    return Identity("ada", expires=time.time() + 12)


class World:
    """A hub with an echo handler, and checks of what remains of its sessions."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.store = BusyStore()
        self.hub = Hub(self.echo, store=self.store, limits=LIMITS, authenticate=authenticate)

    async def echo(self, channel: Channel) -> None:
        await channel.send("hello")
        async for message in channel:
            self.received.append(message)
            await channel.send(message)

    async def assert_nothing_remains(self) -> None:
        """Check that nothing remains after every retention time has passed."""
        runtime = self.hub._lifecycle.current
        assert runtime is not None
        registry = runtime.registry
        await asyncio.sleep(LIMITS.closing + 6.1)  # a stuck connection is aborted after 5 s
        assert counted(self.hub).sessions == 0
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


def cancel_everywhere(
    conversation: Callable[[World, ASGIApp], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    *,
    level: bool,
    new: type[World] = World,
) -> int:
    """Repeat the conversation until every await was cancelled once. Return their number."""

    async def once(at: int) -> CallCanceller:
        world = new()
        app = CallCanceller(world.hub, at, level=level)
        try:
            await conversation(world, app)
            assert not app.remaining
            await world.assert_nothing_remains()
        except BaseException as error:
            error.add_note(f"cancelled at await {at}, in {app.where or 'none'}")
            raise
        return app

    for at, app in runs(once):
        logged = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
        assert logged == [], f"cancelled at await {at}"
        if not app.fired:
            break
    return at - 1


modes = pytest.mark.parametrize("level", [False, True], ids=["native", "level"])


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_conversation_survives_cancelled_calls(
    transport: str, level: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """NUM-4, ATT-4: covers open, data, poll, POST, renewal, a cut and close."""

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
        assert world.received == ["a", b"b", "c", ["d"]]
        statistics = counted(world.hub)
        assert (statistics.opened, statistics.resets.total()) == (1, 0)

    assert cancel_everywhere(conversation, caplog, level=level) > 30


@modes
@pytest.mark.parametrize("pair", list(permutations(TRANSPORTS, 2)), ids="-".join)
def test_transport_switch_survives_cancelled_calls(
    pair: tuple[str, str], level: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """RES-1: an attach on another transport overlaps the old one, then replaces it."""

    async def conversation(world: World, app: ASGIApp) -> None:
        async with drive(app, transport=pair[0]) as page:
            await page.send("a")
            page.transport = pair[1]
            await page.send("b")
            received = [await page.receive(within=20) for _ in range(3)]
            await page.close(within=20)
        assert (world.received, received) == (["a", "b"], ["hello", "a", "b"])
        assert counted(world.hub).opened == 1

    assert cancel_everywhere(conversation, caplog, level=level) > 20


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_handler_close_survives_cancelled_calls(
    transport: str, level: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """CLS-1, CLS-5: the messages it sent before arrive, and then its close."""

    async def conversation(world: World, app: ASGIApp) -> None:
        async with drive(app, transport=transport) as page:
            assert await page.receive(within=20) == "hello"
            await page.send("last")
            for channel in world.hub.channels:
                await until(lambda: world.received == ["last"])
                await channel.send("bye")
                await channel.close(4000, "enough")
            assert await page.receive(within=20) == "last"
            assert await page.receive(within=20) == "bye"
            with pytest.raises(ChannelClosed) as caught:
                await page.receive(within=20)
            assert (caught.value.code, caught.value.reason) == (4000, "enough")

    assert cancel_everywhere(conversation, caplog, level=level) > 15
