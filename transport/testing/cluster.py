"""`cluster`: several processes of one application, in the process and the event loop of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.types import Receive, Scope, Send

from transport.testing.memory_bus import MemoryNetwork
from transport.testing.process import MakeApp, Process
from transport.testing.store_model import StoreModel


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
