"""`cluster`: several processes of one application, in the process and the event loop of a test."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport.bus.shared import Joined, SharedStore
from transport.bus.workers import Workers
from transport.limits import Limits
from transport.stores.remote.times import Times
from transport.testing.asgi import DEADLINE
from transport.testing.memory_bus import MemoryBus, MemoryNetwork
from transport.testing.store_model import ModelStore, StoreModel
from transport.testing.suspension import Part, SuspendableLoop
from transport.testing.topic_model import TopicModel

MakeApp = Callable[[Any], ASGIApp]

LAPSES_AFTER = Times().lease + 1.0
"""Seconds after which a process that is stopped is gone for the others, if they share a store."""


class _MemoryWorkers(Workers):
    """The `Workers` of one process of a cluster.

    Args:
        make_bus: makes the bus of a hub, by its name.
    """

    def __init__(self, make_bus: Callable[[str], MemoryBus]) -> None:
        super().__init__()
        self._make_bus = make_bus

    def join(self, hub: str, limits: Limits) -> Joined:
        """See `SharedStore.join`."""
        return Joined(self._make_bus(hub))


class _ModelledStore(SharedStore):
    """The part of one process of a cluster in a store of the test.

    Args:
        connect: makes the store of a hub.
        make_bus: makes the bus of a hub, by its name and that of the process.
        topics: of the store.
    """

    def __init__(
        self,
        connect: Callable[[Limits], ModelStore],
        make_bus: Callable[[str, str], MemoryBus],
        topics: TopicModel,
    ) -> None:
        self._connect = connect
        self._make_bus = make_bus
        self._topics = topics

    def join(self, hub: str, limits: Limits) -> Joined:
        """See `SharedStore.join`."""
        store = self._connect(limits)
        return Joined(self._make_bus(hub, store.name), store, self._topics)


class Process:
    """One process of a cluster; an ASGI application that sends all requests to it.

    Attributes:
        app: what ``make_hub`` has returned.
        is_alive: whether it exists: a process that is stopped does.
        is_accepting: whether it takes new connections and requests.
        stores: its parts in the store, one for each of its hubs; empty without a store.
    """

    def __init__(self, networks: Callable[[str], MemoryNetwork]) -> None:
        self.app: ASGIApp = _refuse
        self.is_alive = True
        self.is_accepting = False
        self._networks = networks
        self._loop = _loop()
        self._part = Part()
        self._buses: list[MemoryBus] = []
        self.stores: list[ModelStore] = []
        self._requests: dict[asyncio.Future[None], None] = {}
        """Of the clients that wait for the end of a request. Resolved when the process is gone."""
        self._lifespan: Lifespan | None = None
        self._lapsing: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "gone" if not self.is_alive else "stopped" if self.is_stopped else "alive"
        return f"<Process of {self.app!r}, {state}>"

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of it runs, see `Cluster.stop`."""
        return self._part.is_suspended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. It ends at once when the process is killed."""
        if not self.is_accepting:
            return

        async def send_while_alive(message: Message) -> None:
            if self.is_alive:
                await send(message)

        assert self._lifespan is not None
        scope = {**scope, "state": self._lifespan.state.copy()}
        serving = self._run(self.app(scope, receive, send_while_alive))
        gone: asyncio.Future[None] = self._loop.create_future()
        self._requests[gone] = None
        try:
            await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_alive and serving.done():
                await serving
        except asyncio.CancelledError:
            serving.cancel()
            if not self.is_stopped:
                await asyncio.wait({serving, gone}, return_when=asyncio.FIRST_COMPLETED)
            raise
        finally:
            self._requests.pop(gone, None)
            gone.cancel()

    def _run(self, work: Any) -> asyncio.Task[Any]:
        return self._loop.create_task(work, context=self._part.context())

    # Called by `Cluster`

    async def start(self, make_hub: MakeApp, model: StoreModel | None) -> None:
        """Make the application, run its lifespan, and wait until it has joined the others."""
        store: SharedStore = _MemoryWorkers(self._bus)
        if model is not None:
            store = _ModelledStore(partial(self._connect, model), self._bus, model.topics)
        self.app = self._part.context().run(make_hub, store)
        self._lifespan = Lifespan(self.app, self._run)
        await self._lifespan.start()
        self.is_accepting = self.is_alive
        for bus in self._buses:
            await bus.joined.wait()

    def _bus(self, hub: str, name: str | None = None) -> MemoryBus:
        bus = MemoryBus(self._networks(hub), name)
        self._buses.append(bus)
        return bus

    def _connect(self, model: StoreModel, limits: Limits) -> ModelStore:
        store = model.connect(limits)
        self.stores.append(store)
        return store

    def kill(self) -> None:
        """See `Cluster.kill`."""
        self.is_alive = self.is_accepting = False
        self._end_lapse()
        for bus in self._buses:
            bus.vanish()
        for store in self.stores:
            store.vanish()
        for request in self._requests:
            if not request.done():
                request.set_result(None)
        self._loop.end(self._part)

    async def shut_down(self) -> None:
        """See `Cluster.shut_down`."""
        self.is_accepting = False
        assert self._lifespan is not None
        await self._lifespan.shut_down()
        self.kill()

    def stop(self) -> None:
        """See `Cluster.stop`."""
        if self.is_alive:
            self._loop.suspend(self._part)
            if self.stores and self._lapsing is None:
                context = contextvars.Context()
                self._lapsing = self._loop.call_later(LAPSES_AFTER, self._lapse, context=context)

    def _lapse(self) -> None:
        for bus in self._buses:
            bus.network.lapse(bus.name)

    def go_on(self) -> None:
        """See `Cluster.go_on`."""
        if self.is_alive:
            self._end_lapse()
            self._loop.go_on(self._part)

    def _end_lapse(self) -> None:
        if self._lapsing is not None:
            self._lapsing.cancel()
            self._lapsing = None
        for bus in self._buses:
            bus.network.end_lapse(bus.name)

    def cut(self, other: Process) -> None:
        """See `Cluster.cut`."""
        for mine, theirs in itertools.product(self._buses, other._buses):
            mine.cut(theirs.name)

    async def ended(self) -> None:
        """Wait until nothing of it runs, once it has been killed."""
        if self._part.tasks:
            await asyncio.wait(self._part.tasks, timeout=DEADLINE)


class Cluster:
    """Several processes of one application; itself an ASGI application in front of them.

    It gives each connection and each request to the next process, as a proxy without sticky
    sessions does. ``processes[0]`` is an application, too: the first process alone. Made by
    `cluster`.

    Attributes:
        delay: seconds that an item takes from one process to another, or a function that returns
            them for each item. The items of two processes stay in order. May be set.
        choose: picks the process of the next request, from those that accept one. May be set.
    """

    def __init__(
        self,
        make_hub: MakeApp,
        choose: Callable[[Sequence[Process]], Process] | None,
        delay: float | Callable[[], float],
        store: StoreModel | None = None,
    ) -> None:
        self.delay = delay
        self._store = store
        self.choose = choose or self._next
        self._make_hub = make_hub
        self._processes: list[Process] = []
        self._networks: dict[str, MemoryNetwork] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._processes)

    def __getitem__(self, index: int) -> Process:
        return self._processes[index]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. Without a process it ends at once, as one that is refused."""
        accepting = [each for each in self._processes if each.is_accepting and not each.is_stopped]
        if accepting:
            await self.choose(accepting)(scope, receive, send)

    def _next(self, processes: Sequence[Process]) -> Process:
        process = processes[self._turn % len(processes)]
        self._turn += 1
        return process

    # What happens to processes

    async def start(self) -> int:
        """Start another process, and return its index; it has joined the others.

        Raises:
            RuntimeError: its application has not started. What it raised is raised here too.
        """
        process = Process(self._network)
        self._processes.append(process)
        await process.start(self._make_hub, self._store)
        return len(self._processes) - 1

    def kill(self, index: int) -> None:
        """Let a process vanish, as ``kill -9`` does: nobody gets anything more from it.

        Its tasks are cancelled, so ``finally`` blocks run, which a real kill prevents.
        """
        self[index].kill()

    async def shut_down(self, index: int) -> None:
        """Stop a process properly, as SIGTERM does: its lifespan ends, then it is gone.

        Only a hub that runs in the lifespan of its application learns of it.
        """
        await self[index].shut_down()

    def stop(self, index: int) -> None:
        """Let a process do nothing until `go_on`, as SIGSTOP does: not even its timers fire.

        What arrives meanwhile is kept. Requests that the cluster distributes go to the others.
        """
        self[index].stop()

    def go_on(self, index: int) -> None:
        """Let a process that was stopped go on, as SIGCONT does."""
        self[index].go_on()

    @property
    def is_stalled(self) -> bool:
        """Whether nothing passes between the processes, as while a Redis does not answer.

        What they send meanwhile arrives after that. May be set.
        """
        return any(network.is_stalled for network in self._networks.values())

    @is_stalled.setter
    def is_stalled(self, is_stalled: bool) -> None:
        for network in self._networks.values():
            network.is_stalled = is_stalled

    def cut(self, index: int, other: int) -> None:
        """Cut the pipes between two processes, and lose what is under way; they connect again."""
        self[index].cut(self[other])

    def _network(self, hub: str) -> MemoryNetwork:
        network = self._networks.get(hub)
        if network is None:
            network = self._networks[hub] = MemoryNetwork(self._delay)
        return network

    def _delay(self) -> float:
        return self.delay() if callable(self.delay) else self.delay

    async def _end(self) -> None:
        """Kill all processes, and wait until nothing of them runs."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            await process.ended()


@asynccontextmanager
async def cluster(
    make_hub: MakeApp,
    count: int = 2,
    *,
    choose: Callable[[Sequence[Process]], Process] | None = None,
    delay: float | Callable[[], float] = 0.0,
    store: StoreModel | None = None,
) -> AsyncIterator[Cluster]:
    """Run several processes of an application, in the event loop of the test.

    They reach each other as workers do (``Hub(handler, store=Workers())``), without sockets and
    files. What they share in Python is shared here too, as between threads: a test of what is
    *not* shared keeps its state in what ``make_hub`` makes.

    Args:
        make_hub: called once for each process with its `Workers`; returns a hub that has them as
            its store, or an application that mounts one.
        count: processes at the start.
        choose: see `Cluster.choose`; by default each in turn.
        delay: see `Cluster.delay`.
        store: where the processes keep sessions for each other; by default a session ends with its
            process. What ``make_hub`` is given is then one's part in this store.

    Raises:
        RuntimeError: the event loop is not a `JumpingEventLoop`; or an application has not started.
    """
    processes = Cluster(make_hub, choose, delay, store)
    try:
        for _ in range(count):
            await processes.start()
        yield processes
    finally:
        await processes._end()


class Lifespan:
    """The lifespan of an application.

    Args:
        app: the application. It may have none.
        run: starts a task in its process.

    Attributes:
        state: what its requests share.
    """

    def __init__(
        self, app: ASGIApp, run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._start_task = run
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Let it begin.

        Raises:
            RuntimeError: it has failed.
        """
        self._task = self._start_task(self._run())
        answer = await self._ask("startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the application has not started: {answer.get('message', '')}")

    async def shut_down(self) -> None:
        """Let it end."""
        assert self._task is not None
        if not self._task.done():
            await self._ask("shutdown")

    async def _ask(self, what: str) -> Message | None:
        """Return the answer; None if the application has no lifespan."""
        assert self._task is not None
        self._events.put_nowait({"type": f"lifespan.{what}"})
        answering = asyncio.ensure_future(self._answers.get())
        try:
            await asyncio.wait({answering, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
        if answering.done() and not answering.cancelled():
            return answering.result()
        return self._answers.get_nowait() if not self._answers.empty() else None

    async def _run(self) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": asgi, "state": self.state}
        with suppress(Exception):  # an application without a lifespan raises
            await self._app(scope, self._events.get, self._answers.put)


def _loop() -> SuspendableLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SuspendableLoop):
        raise RuntimeError(
            "a cluster needs a JumpingEventLoop: see docs/testing.md for how a test gets it"
        )
    return loop


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the application of a process that has not started."""
