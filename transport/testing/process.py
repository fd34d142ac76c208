"""`Process`: one process of a `Cluster`, in the event loop of a test."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport.bus.shared import Joined, SharedStore
from transport.bus.workers import Workers
from transport.limits import Limits
from transport.stores.remote.times import Times
from transport.testing.asgi import DEADLINE
from transport.testing.lifespan import Lifespan
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


def _loop() -> SuspendableLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SuspendableLoop):
        raise RuntimeError(
            "a cluster needs a JumpingEventLoop: see docs/testing.md for how a test gets it"
        )
    return loop


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for the application of a process that has not started."""
