"""The workloads. Each runs on all peers in turns, and returns a `Sample` each time."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from benchmarks.clients.onechannel import Channel
from benchmarks.generator import RING, WAIT_TIMEOUT, Client, Messages, Mismatch
from benchmarks.machine import Meter, Usage, memory_kib
from benchmarks.peers import Server

SMALL, LARGE = 64, 1024
"""Message sizes in bytes."""

TOGETHER = 16
"""How many sessions are opened concurrently."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the results.

    Attributes:
        name: name and unit.
        more_is_better: True if larger values are better, False if smaller ones are.
        digits: decimal places.
    """

    name: str
    more_is_better: bool = False
    digits: int = 0


RATE = Figure("messages/s", more_is_better=True)
DELIVERIES = Figure("deliveries/s", more_is_better=True)
SESSIONS = Figure("sessions/s", more_is_better=True)
CPU = Figure("server CPU us each", digits=2)
STORE_CPU = Figure("Redis CPU us each", digits=2)
P50 = Figure("p50 ms", digits=3)
P95 = Figure("p95 ms", digits=3)
TO_LAST = Figure("ms to the last", digits=2)
KIB = Figure("KiB each", digits=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a workload on one server.

    Attributes:
        figures: values by the name of the figure.
        usage: usage of the machine.
    """

    figures: dict[str, float]
    usage: Usage


class Workload(ABC):
    """An operation to measure.

    Attributes:
        role: the role of the server that it needs.
        figures: the figures that it gives; peers are compared by the first.
        fresh: whether each run needs a new server.
        shares_cores: whether the server may use the generator's core, too.
    """

    role = "echo"
    figures: tuple[Figure, ...] = ()
    fresh = False
    shares_cores = False

    @property
    @abstractmethod
    def title(self) -> str:
        """A short description."""

    @property
    def server(self) -> str:
        """The key of its server: workloads with the same key share a server."""
        return self.role

    async def warm_up(self, server: Server, transport: str) -> None:  # noqa: B027 - optional
        """Warm up the server's compilers and allocators before the measurement."""

    @abstractmethod
    async def run(self, server: Server, transport: str) -> Sample:
        """Take one sample."""

    async def end(self) -> None:  # noqa: B027 - optional
        """Clean up after the last run, so that later workloads find nothing open."""


async def opened(
    server: Server, transport: str, messages: Messages, count: int, stagger: int = 0
) -> list[Client]:
    """Open sessions, `TOGETHER` at a time. ``stagger`` offsets the first message of each."""
    clients = [
        server.client(transport, messages, number * stagger % RING) for number in range(count)
    ]
    await in_turns(clients, lambda client: client.open())
    return clients


async def in_turns(clients: list[Client], do: Callable[[Client], Any]) -> None:
    """Call ``do`` with each client, `TOGETHER` at a time."""
    left = iter(clients)

    async def work() -> None:
        for client in left:
            await do(client)

    await asyncio.gather(*[work() for _ in range(TOGETHER)])


async def closed(clients: list[Client]) -> None:
    """Close sessions, and give the server time to clean up."""
    for client in clients:
        client.close()
    await asyncio.sleep(0.05 + len(clients) / 2000)


def _each(seconds: float, count: float) -> float:
    """Return the CPU time per item, in microseconds."""
    return seconds / max(1, count) * 1e6


class Echo(Workload):
    """Sessions that keep messages in flight: each echo triggers the next message.

    Args:
        connections: number of sessions.
        depth: messages in flight in each session.
        size: bytes of a message.
        seconds: duration of the measurement.
    """

    SETTLE = 0.15
    """Seconds of load before the measurement begins."""

    def __init__(self, connections: int, depth: int, size: int, seconds: float) -> None:
        self.connections = connections
        self.depth = depth
        self.messages = Messages(size)
        self.seconds = seconds
        self.figures = (RATE, CPU, P50, P95) if depth == 1 else (RATE, CPU)

    @property
    def title(self) -> str:
        return (
            f"echo, {self.connections} session{'s' * (self.connections > 1)}, "
            f"depth {self.depth}, {self.messages.size} B"
        )

    async def warm_up(self, server: Server, transport: str) -> None:
        await Echo(64, 4, SMALL, 2 * self.seconds).run(server, transport)

    async def run(self, server: Server, transport: str) -> Sample:
        clients = await opened(server, transport, self.messages, self.connections, stagger=17)
        try:
            return await self.measure(server, clients)
        finally:
            await closed(clients)

    async def measure(self, server: Server, clients: list[Client]) -> Sample:
        """Measure over sessions that are already open."""
        latencies: list[float] = []
        running = True

        def follow(client: Client) -> Callable[[int], None]:
            def on_messages(count: int) -> None:
                if running:
                    client.send(count)

            return on_messages

        def timed(client: Client) -> Callable[[int], None]:
            clock = time.perf_counter
            before = clock()

            def on_messages(count: int) -> None:
                nonlocal before
                now = clock()
                latencies.append(now - before)
                before = now
                if running:
                    client.send(count)

            return on_messages

        for client in clients:
            client.on_messages = timed(client) if self.depth == 1 else follow(client)
        for client in clients:
            client.send(self.depth)
        await asyncio.sleep(self.SETTLE)
        latencies.clear()
        before = sum([client.received for client in clients])
        meter = Meter(server.pids, server.store_pids)
        await asyncio.sleep(self.seconds)
        usage = meter.read()
        count = sum([client.received for client in clients]) - before
        running = False
        for client in clients:
            await client.until_all_echoed()
            client.on_messages = None
        figures = {
            RATE.name: count / usage.seconds,
            CPU.name: _each(usage.server, count),
            STORE_CPU.name: _each(usage.store, count),
        }
        if latencies:
            figures[P50.name] = median(latencies) * 1000
            figures[P95.name] = quantiles(latencies, n=20)[-1] * 1000
        return Sample(figures, usage)


class RelayedEcho(Echo):
    """The same, to compare an echo that another process passes on with one that is not."""

    @property
    def title(self) -> str:
        return f"relayed {super().title}"


class StoredEcho(Echo):
    """The same, to compare sessions in Redis with those in memory.

    The processes of the server and Redis use both cores, as on a machine of two.
    """

    shares_cores = True

    def __init__(self, connections: int, depth: int, size: int, seconds: float) -> None:
        super().__init__(connections, depth, size, seconds)
        self.figures = (self.figures[0], CPU, STORE_CPU, *self.figures[2:])

    @property
    def title(self) -> str:
        return f"stored {super().title}"


class FanOut(Workload):
    """One session sends to all sessions: the time until the last one has every message.

    Args:
        members: number of sessions, including the sender.
        burst: messages that are sent at once.
        seconds: duration of the measurement; there are at least two rounds.
        pause: seconds between two rounds; with 0, a round starts when the previous one ends.
    """

    role = "lobby"
    settle = 0.0
    """Seconds in which the sessions become members."""

    def __init__(self, members: int, burst: int, seconds: float, pause: float) -> None:
        self.members = members
        self.burst = burst
        self.seconds = seconds
        self.pause = pause
        self.messages = Messages(SMALL)
        self.figures = (TO_LAST, DELIVERIES, CPU) if pause else (DELIVERIES, CPU, TO_LAST)
        self._clients: dict[Server, list[Client]] = {}

    @property
    def title(self) -> str:
        what = "one message" if self.burst == 1 else f"{self.burst} messages at once"
        pace = "" if self.pause else ", without a pause"
        return f"{what} to {self.members}{pace}"

    async def end(self) -> None:
        for clients in self._clients.values():
            await closed(clients)
        self._clients = {}

    async def run(self, server: Server, transport: str) -> Sample:
        clients = self._clients.get(server)
        if clients is None:
            clients = await opened(server, transport, self.messages, self.members)
            self._clients[server] = clients
            await asyncio.sleep(self.settle)
            await self._round(clients)
            await asyncio.sleep(self.pause)
        seconds: list[float] = []
        meter = Meter(server.pids, server.store_pids)
        end = time.perf_counter() + self.seconds
        while len(seconds) < 2 or time.perf_counter() < end:
            seconds.append(await self._round(clients))
            await asyncio.sleep(self.pause)
        usage = meter.read()
        for client in clients:
            client.check()
        deliveries = self.members * self.burst
        figures = {
            TO_LAST.name: median(seconds) * 1000,
            DELIVERIES.name: deliveries / median(seconds),
            CPU.name: _each(usage.server, deliveries * len(seconds)),
            STORE_CPU.name: _each(usage.store, deliveries * len(seconds)),
        }
        return Sample(figures, usage)

    async def _round(self, clients: list[Client]) -> float:
        """Return the seconds until the last session had every message."""
        left = self.members * self.burst
        all_have_it: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def on_messages(count: int) -> None:
            nonlocal left
            left -= count
            if not left:
                all_have_it.set_result(time.perf_counter())

        for client in clients:
            client.on_messages = on_messages
        began = time.perf_counter()
        clients[0].send(self.burst)
        async with asyncio.timeout(WAIT_TIMEOUT):
            return await all_have_it - began


class StoredFanOut(FanOut):
    """The same, to compare sessions in Redis with those in memory; see `StoredEcho`."""

    shares_cores = True
    settle = 1.0

    def __init__(self, members: int, burst: int, seconds: float, pause: float) -> None:
        super().__init__(members, burst, seconds, pause)
        self.figures = (*self.figures, STORE_CPU)

    @property
    def title(self) -> str:
        return f"stored, {super().title}"


class Opening(Workload):
    """Open sessions, 16 at a time, each to its first echo.

    Args:
        count: number of sessions.
    """

    figures = (SESSIONS, CPU)

    def __init__(self, count: int) -> None:
        self.count = count
        self.messages = Messages(SMALL)

    @property
    def title(self) -> str:
        return f"open {self.count} sessions, each to its first echo"

    async def warm_up(self, server: Server, transport: str) -> None:
        await self.run(server, transport)

    async def run(self, server: Server, transport: str) -> Sample:
        async def begin(client: Client) -> None:
            await client.open()
            client.send()
            await client.until_received(1)

        clients = [server.client(transport, self.messages) for _ in range(self.count)]
        meter = Meter(server.pids)
        try:
            await in_turns(clients, begin)
            usage = meter.read()
        finally:
            await closed(clients)
        figures = {
            SESSIONS.name: self.count / usage.seconds,
            CPU.name: _each(usage.server, self.count),
        }
        return Sample(figures, usage)


class Idle(Workload):
    """Memory of idle sessions.

    Args:
        count: number of sessions.
        settle: seconds before memory is read.
    """

    figures = (KIB,)
    fresh = True
    WARM = 100

    def __init__(self, count: int, settle: float) -> None:
        self.count = count
        self.settle = settle
        self.messages = Messages(SMALL)

    @property
    def title(self) -> str:
        return f"memory of {self.count} idle sessions"

    async def run(self, server: Server, transport: str) -> Sample:
        warm = await self._settled(server, transport, self.WARM)
        before = memory_kib(server.pids)
        meter = Meter(server.pids)
        clients = await self._settled(server, transport, self.count)
        usage = meter.read()
        used = memory_kib(server.pids) - before
        for client in warm + clients:
            client.check()
            client.abandon()
        return Sample({KIB.name: used / self.count}, usage)

    async def _settled(self, server: Server, transport: str, count: int) -> list[Client]:
        clients = await opened(server, transport, self.messages, count)
        for client in clients:
            client.rest()
        await asyncio.sleep(self.settle)
        server.collect_garbage()
        await asyncio.sleep(self.settle / 2)
        return clients


class Resume(Workload):
    """Reconnect after a cut, and receive the 1,000 messages that were missed.

    The bare callable retains nothing. Its figure is the time in which it sends 1,000 messages to a
    new connection.
    """

    role = "backlog"
    figures = (TO_LAST, CPU)

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.messages = Messages(SMALL)

    @property
    def title(self) -> str:
        return f"{RING:,} missed messages after a reconnect"

    async def run(self, server: Server, transport: str) -> Sample:
        seconds = []
        cpu = 0.0
        meter = Meter(server.pids)
        for _ in range(self.rounds):
            client = server.client(transport, self.messages)
            if isinstance(client, Channel):
                await self._miss(client)
                come = client.resume
            else:
                come = client.open
            began, single = time.perf_counter(), Meter(server.pids)
            await come()
            await client.until_received(RING)
            seconds.append(time.perf_counter() - began)
            cpu += single.read().server
            if isinstance(client, Channel) and client.sent_at_open != RING:
                raise Mismatch(
                    f"the server reports {client.sent_at_open} messages sent, not {RING}"
                )
            client.close()
            await asyncio.sleep(0.02)
        usage = meter.read()
        figures = {
            TO_LAST.name: median(seconds) * 1000,
            CPU.name: cpu / self.rounds / RING * 1e6,
        }
        return Sample(figures, usage)

    async def _miss(self, client: Channel) -> None:
        await client.open()
        client.send()
        await asyncio.sleep(0.05)
        client.cut()
        if client.received:
            raise Mismatch("no message was missed: the machine is too busy")
        await asyncio.sleep(0.35)


class Growth(Echo):
    """Echo in 64 sessions, while other sessions are open and idle.

    Args:
        sessions: number of sessions in total.
        seconds: duration of the measurement.
    """

    ACTIVE = 64

    def __init__(self, sessions: int, seconds: float) -> None:
        super().__init__(self.ACTIVE, 1, SMALL, seconds)
        self.sessions = sessions
        self.figures = (CPU, RATE, P50)
        self._clients: dict[Server, list[Client]] = {}

    @property
    def server(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        return f"echo in {self.ACTIVE} of {self.sessions} sessions, depth 1"

    async def warm_up(self, server: Server, transport: str) -> None:
        await self.run(server, transport)

    async def run(self, server: Server, transport: str) -> Sample:
        clients = self._clients.get(server)
        if clients is None:
            clients = await opened(server, transport, self.messages, self.sessions, stagger=17)
            self._clients[server] = clients
            await asyncio.sleep(0.5)
        return await self.measure(server, clients[: self.ACTIVE])

    async def end(self) -> None:
        for clients in self._clients.values():
            for client in clients:
                client.abandon()
        self._clients = {}
