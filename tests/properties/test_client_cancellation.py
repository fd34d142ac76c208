"""Cancellation at every await of the client: of who uses a channel, and of its own tasks.

A conversation is had again and again, over a network in memory. Each time something is cancelled
one wait of the client later than the time before, be it of the application's task, of the client's
own, or of the libraries below. What is cancelled is told by `Mode`. Whatever it was: a channel that
is alive goes on, once and in order, and of one that is over nothing is left.

`make test` takes a part of the waits; with ``CANCEL_EVERY=1`` it takes all.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import random
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from enum import Enum
from typing import Any, TypeVar

import anyio
import httpx
import pytest

from tests.integration.client.memory_network import Network, NetworkLoop
from transport import Channel, ChannelClosed, Hub, Limits, SessionReset, Unacknowledged, connect
from transport.client import Channel as ClientChannel
from transport.client import Pacing

STRIDE = int(os.environ.get("CANCEL_EVERY", "79"))
"""Of so many waits one is taken: a prime, so that it falls on other waits in each conversation."""
TRANSPORTS = ("websocket", "sse", "longpoll")
LIMITS = Limits(
    heartbeat=5,
    poll_hold=5,
    ttl=30,
    closing=5,
    tombstone=5,
    nonce=5,
    window_messages=2,
    drain_grace=2,
    drain_window=1,
)
T = TypeVar("T")


class Mode(Enum):
    """What is cancelled, and how."""

    BLOCK = "block"
    """The task that is in ``async with connect()``."""
    BLOCK_SCOPE = "block-scope"
    """The same, by a scope, which cancels each further wait too."""
    CALL = "call"
    """The method of the channel that the application waits for. It is called again."""
    CALL_SCOPE = "call-scope"
    TASK = "task"
    """The client's own task whose wait it is."""
    DEATH = "death"
    """The same is not cancelled: it raises what nobody expects."""


WHOLE = (Mode.BLOCK, Mode.BLOCK_SCOPE)
INNER = (Mode.TASK, Mode.DEATH)


class Unexpected(Exception):
    """What no code of ours knows."""


class Watched(Coroutine[Any, Any, T]):
    """``work``, of which each wait is told; it raises there what ``wait`` returns."""

    def __init__(
        self, work: Coroutine[Any, Any, T], wait: Callable[[Any], BaseException | None]
    ) -> None:
        self._work = work
        self._wait = wait
        self._dies: BaseException | None = None

    def send(self, value: Any) -> Any:
        dies, self._dies = self._dies, None
        return self._told(self._work.send(value) if dies is None else self._work.throw(dies))

    def throw(self, *error: Any) -> Any:
        self._dies = None
        return self._told(self._work.throw(*error))

    def _told(self, waits_for: Any) -> Any:
        self._dies = self._wait(waits_for)
        return waits_for

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)  # `cr_frame` and its like: anyio looks at them


class Canceller:
    """Acts at the ``at``-th wait of the client, from 1.

    Attributes:
        block, call: cancel the block, or the call that is waited for; None: there is none.
        fired: whether that wait came.
        where: it was.
        main: whether it hit the task that runs the channel: no other can carry on for it.
    """

    def __init__(self, mode: Mode, at: int) -> None:
        self.mode = mode
        self.at = at
        self.count = 0
        self.where = ""
        self.main = False
        self.block: Callable[[], object] | None = None
        self.call: Callable[[], object] | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        """All of the client."""

    @property
    def fired(self) -> bool:
        return self.count >= self.at

    def wait(self, waits_for: Any) -> BaseException | None:
        """A task of the client is about to wait."""
        task = asyncio.current_task()
        assert task is not None
        name = task.get_name()
        # Nobody but the loop's end cancels what closes sockets: they end with it.
        if self.mode in INNER and (name in ("user", "call") or name.endswith(".aclose")):
            return None
        if self.mode is Mode.DEATH and (waits_for is None or "Lock.acquire" in innermost(task)):
            return None  # a turn of the loop, or of a lock: these raise nothing
        self.count += 1
        if self.count != self.at:
            return None
        self.where = f"{name}, {innermost(task)}"
        self.main = name == "transport.connect"
        if self.mode is Mode.DEATH:
            return Unexpected("at a wait")
        if self.mode is Mode.TASK:
            task.cancel()
        elif (cancel := self.block if self.mode in WHOLE else self.call) is not None:
            cancel()
        return None

    async def __call__(self, method: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call a method of the channel; where it was cancelled, again."""
        while True:
            if self.mode is Mode.CALL:
                task = asyncio.create_task(_call(method, *args), name="call")
                self.call = task.cancel
                await asyncio.wait([task])
                self.call = None
                if not task.cancelled():
                    return task.result()
            else:
                with anyio.CancelScope() as scope:
                    self.call = scope.cancel
                    try:
                        return await method(*args)
                    finally:
                        self.call = None
                assert scope.cancelled_caught


async def _call(method: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await method(*args)


def innermost(task: asyncio.Task[Any]) -> str:
    """Where in the client, and in all, a task stands."""
    work: Any = task.get_coro()
    ours = last = "?"
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None:
            last = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
            if "/transport/client/" in frame.f_code.co_filename:
                ours = last
        step = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)
        if frame is None:  # a step of an asynchronous generator does not tell of which
            step = next(filter(inspect.isasyncgen, gc.get_referents(work)), None)
        work = step
    return f"{ours} ... {last}"


canceller: ContextVar[Canceller | None] = ContextVar("canceller", default=None)
"""Set for all that the application has begun, and nothing that the server has."""


def make_task(loop: Any, work: Coroutine[Any, Any, T], **options: Any) -> asyncio.Task[T]:
    """The loop's task factory."""
    context = options.get("context")
    owner = canceller.get() if context is None else context.get(canceller)
    if owner is None:
        return asyncio.Task(work, loop=loop, **options)
    watched = Watched(work, owner.wait) if inspect.iscoroutine(work) else work
    task = asyncio.Task(watched, loop=loop, **options)
    owner.tasks.append(task)
    return task


class World:
    """A server that echoes, the network to it, and what was said.

    Attributes:
        got, heard: the messages that the server's handlers and the application have taken.
        entered: whether the channel was open.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.hub = self.start()
        self.network = Network(self.hub)
        self.got: list[Any] = []
        self.heard: list[Any] = []
        self.entered = False
        self.channel: ClientChannel | None = None

    def start(self) -> Hub:
        self.hub = Hub(self.echo, limits=LIMITS, **self.options)
        return self.hub

    def restart(self) -> None:
        """The server is killed, and another takes its place."""
        self.network.serve(self.start())
        self.network.cut()

    async def echo(self, channel: Channel) -> None:
        await channel.send("hello")
        async for message in channel:
            self.got.append(message)
            await channel.send(message)
            if message == "go":
                await channel.close(4000, "enough")

    def connect(self, *transports: str) -> connect:
        return connect(
            "http://127.0.0.1:1/",
            transports=transports,
            proxies=False,
            pacing=Pacing(retry_base=0.1, retry_most=1.0),
        )


Conversation = Callable[[World, Canceller], Awaitable[None]]


def exchanges(
    transport: str,
) -> Callable[[Callable[[World, Canceller, ClientChannel], Awaitable[None]]], Conversation]:
    """The part within the block, made a conversation."""

    def decorate(
        part: Callable[[World, Canceller, ClientChannel], Awaitable[None]],
    ) -> Conversation:
        async def conversation(world: World, call: Canceller) -> None:
            async with world.connect(transport) as world.channel:
                world.entered = True
                await part(world, call, world.channel)

        return conversation

    return decorate


async def receive(world: World, call: Canceller, channel: ClientChannel, count: int = 1) -> None:
    """Hear so many."""

    async def take() -> None:
        world.heard.append(await channel.receive())

    for _ in range(count):
        await call(take)


# The conversations


def talk(transport: str) -> Conversation:
    """Both ways, with a window of 2, so that sends wait; then the end of the block."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        for index in range(4):
            await call(channel.send, index)
        await receive(world, call, channel, 2)
        last = await call(channel.send, b"last")
        await call(channel.acknowledged, last)
        await receive(world, call, channel, 3)

    return part


def cut(transport: str) -> Conversation:
    """The network breaks with messages on their way, and once more while nobody is reached."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        await call(channel.send, 0)
        await call(channel.send, 1)
        world.network.cut()
        await call(channel.send, 2)
        await receive(world, call, channel, 2)
        world.network.up = False
        world.network.cut()
        await call(channel.send, 3)
        asyncio.get_running_loop().call_later(0.5, setattr, world.network, "up", True)
        await call(channel.flush)
        await receive(world, call, channel, 2)

    return part


def closing(transport: str) -> Conversation:
    """The application closes, in mid-stream."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        for index in range(3):
            await call(channel.send, index)
        await call(channel.close, 3000, "done")
        assert channel.phase == "closed"
        await receive(world, call, channel, 4)

    return part


def closed(transport: str) -> Conversation:
    """The server closes."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await call(channel.send, "go")
        await receive(world, call, channel, 2)
        with pytest.raises(ChannelClosed) as caught:
            await call(channel.receive)
        if not call.main:
            assert (caught.value.code, caught.value.reason) == (4000, "enough")

    return part


def reset(transport: str) -> Conversation:
    """The server restarts: all of the old session is told, and the new one goes on."""

    @exchanges(transport)
    async def part(world: World, call: Canceller, channel: ClientChannel) -> None:
        await receive(world, call, channel)
        await call(channel.send, 0)
        await receive(world, call, channel)
        await call(channel.flush)
        world.restart()
        with pytest.raises(SessionReset) as told:
            await call(channel.receive)
        assert told.value.reason == "restarted"
        await receive(world, call, channel)
        await call(channel.send, 1)
        await receive(world, call, channel)

    return part


def fallback(transport: str) -> Conversation:
    """No WebSocket is let through, and no stream where long poll is asked for."""

    async def conversation(world: World, call: Canceller) -> None:
        async with world.connect(*TRANSPORTS) as world.channel:
            world.entered = True
            assert world.channel.transport == transport or call.mode in INNER
            await call(world.channel.send, 0)
            await receive(world, call, world.channel, 2)

    return conversation


# One run


async def run(
    world: World, mode: Mode, at: int, conversation: Conversation, expected: list[Any]
) -> Canceller:
    """Have it once, and check what it leaves."""
    loop: Any = asyncio.get_running_loop()
    call = Canceller(mode, at)
    clients: list[httpx.AsyncClient] = []

    class HttpClient(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            clients.append(self)

    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, told: complaints.append(told))
    loop.set_task_factory(make_task)

    async def use() -> bool:
        canceller.set(call)
        with anyio.CancelScope() as scope:
            call.block = scope.cancel if mode is Mode.BLOCK_SCOPE else asyncio.current_task().cancel  # type: ignore[union-attr]
            await conversation(world, call)
        return scope.cancelled_caught

    try:
        # The application's task is one of the client's: its factory sees `canceller` set.
        token = canceller.set(call)
        task = asyncio.create_task(use(), name="user")
        canceller.reset(token)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(httpx, "AsyncClient", HttpClient)
            # httpcore looks for it anew in each request: most of the time of a run.
            patch.setitem(sys.modules, "sniffio", None)
            async with asyncio.timeout(100):
                await asyncio.wait([task])
        told = outcome(task)
        alive = told is None and not (mode is Mode.BLOCK_SCOPE and task.result())
        check(world, call, task, told, expected, alive=alive)
        assert all(one.done() for one in call.tasks), [one for one in call.tasks if not one.done()]
        assert all(one.is_closed for one in clients)
        assert all(end.closing for end in world.network.ends)
        driver: Any = world.channel and world.channel._driver
        if driver is not None:
            assert driver._waiters._waiting == driver.window.senders == []
            assert driver.inbox._receiver is driver._waker is None
            assert not driver.connector.tasks.is_busy
        await check_server(world, call, healthy=world.network.up)
        assert complaints == []
    except BaseException as error:
        error.add_note(f"{mode.value} at wait {at}: {call.where or 'none'}")
        raise
    return call


def outcome(task: asyncio.Task[bool]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def check(
    world: World,
    call: Canceller,
    task: asyncio.Task[bool],
    told: BaseException | None,
    expected: list[Any],
    *,
    alive: bool,
) -> None:
    """What the application was told is true."""
    if alive:
        assert world.heard == expected
        assert world.got == [one for one in expected if one != "hello"]
        return
    assert call.fired, told
    assert world.heard == expected[: len(world.heard)]
    assert world.got == [one for one in expected if one != "hello"][: len(world.got)]
    if call.mode is Mode.BLOCK:
        assert task.cancelled(), told
    elif call.mode is Mode.BLOCK_SCOPE:
        assert told is None  # and its scope has caught it
    else:
        assert call.main, told
        assert isinstance(told, (ChannelClosed, Unacknowledged)), told


async def check_server(world: World, call: Canceller, *, healthy: bool) -> None:
    """Its session was closed where the channel could say so, else it ends when it expires."""
    runtime = world.hub._lifecycle.current
    if runtime is None:
        return  # it was never reached
    if healthy and world.entered and call.mode not in INNER:
        await asyncio.sleep(0.5)
        assert world.hub.statistics().sessions == 0
    await asyncio.sleep(LIMITS.ttl + LIMITS.closing + 6.1)
    assert world.hub.statistics().sessions == 0


def told_by_client(record: logging.LogRecord) -> bool:
    """Not by the server, which complains of those that go in mid-sentence."""
    ours = "/transport/client/" in record.pathname or record.name == "asyncio"
    return ours and record.levelno >= logging.WARNING


def everywhere(
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
    conversation: Conversation,
    expected: list[Any],
    **options: Any,
) -> int:
    """Have the conversation until no wait of it is left to be hit; how many there were."""

    async def once(at: int) -> Canceller:
        random.seed(1)
        return await run(World(**options), mode, at, conversation, expected)

    at = 1 + random.Random(f"{mode}{conversation.__qualname__}").randrange(STRIDE)
    while True:
        with asyncio.Runner(loop_factory=NetworkLoop) as runner:
            call = runner.run(once(at))
        logged = [one for one in caplog.records if told_by_client(one)]
        caplog.clear()
        if mode is Mode.DEATH:
            logged = [one for one in logged if not one.exc_info]
        assert logged == [], f"{mode.value} at wait {at}: {call.where}"
        if not call.fired:
            return call.count
        at += STRIDE


@pytest.fixture(scope="module", autouse=True)
def nothing_forgotten() -> Iterator[None]:
    """What was never awaited or retrieved complains when it is collected, and pytest hears it."""
    yield
    gc.collect()


CONVERSATIONS: dict[Callable[[str], Conversation], list[Any]] = {
    talk: ["hello", 0, 1, 2, 3, b"last"],
    cut: ["hello", 0, 1, 2, 3],
    closing: ["hello", 0, 1, 2],
    closed: ["hello", "go"],
    reset: ["hello", 0, "hello", 1],
}

modes = pytest.mark.parametrize("mode", Mode, ids=[mode.value for mode in Mode])


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("about", CONVERSATIONS, ids=[one.__name__ for one in CONVERSATIONS])
def test_a_conversation(
    about: Callable[[str], Conversation],
    transport: str,
    mode: Mode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits = everywhere(caplog, mode, about(transport), CONVERSATIONS[about])
    assert waits > 5
    print(f"{about.__name__}, {transport}, {mode.value}: {waits} waits")  # noqa: T201


@modes
@pytest.mark.parametrize("transport", TRANSPORTS[1:])
def test_falling_back(transport: str, mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    served = TRANSPORTS[TRANSPORTS.index(transport) :]
    waits = everywhere(caplog, mode, fallback(transport), ["hello", 0], transports=served)
    assert waits > 5
    print(f"fallback, {transport}, {mode.value}: {waits} waits")  # noqa: T201
