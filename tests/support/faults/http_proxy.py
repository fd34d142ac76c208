"""A proxy of HTTP/1.1 that breaks single requests, planned by a test or drawn from a seed.

`FaultProxy` cuts bytes. This proxy knows requests: it can lose an answer although the server has
accepted the request, or deliver a request twice, or after requests that were made later. Data after
an upgrade to WebSocket passes unchanged.

    async with RequestProxy(server.port, seed=1) as proxy:
        proxy.plan("send", Lose())
        proxy.plan("poll", Delay(later=2))
        ...  # talk to proxy.port
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self, TypeAlias, assert_never

import anyio
import h11

from tests.support.faults.http_peers import Client, Request, Upstream, pump
from tests.support.faults.tcp_link import reset
from tests.support.faults.tcp_proxy import DEADLINE
from transport.waiting import Waiters


@dataclass(frozen=True, slots=True)
class Lose:
    """The server answers, and the connection to the client is cut instead of the answer.

    Attributes:
        headers: whether the client still gets the headers.
    """

    headers: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """The server gets the request twice; the client sees the answer to the first.

    Attributes:
        later: the second follows after this many later requests were answered. 0: at once. None: at
            `RequestProxy.release`.
    """

    later: int | None = 0


@dataclass(frozen=True, slots=True)
class Delay:
    """The server gets the request late.

    Attributes:
        later: after this many later requests were answered. None: at `RequestProxy.release`.
        cut: whether to cut the connection to the client at once, as if its wait had timed out.
    """

    later: int | None = None
    cut: bool = False


Fault: TypeAlias = Lose | Repeat | Delay


@dataclass(slots=True, eq=False)
class Copy:
    """A request that reaches the server while no client waits for the answer.

    Attributes:
        request: the request.
        status: the status of the answer, once there is one.
        body: the body of the answer, as far as received.
        over: whether the answer has ended.
    """

    request: Request
    status: int | None = None
    body: bytearray = field(default_factory=bytearray)
    over: bool = False


Which: TypeAlias = str | Callable[[Request], bool]
"""A selection of requests: by the last segment of the path, or by a predicate."""


@dataclass(slots=True, eq=False)
class _Held:
    """A request that is held until later ones have passed."""

    order: int
    remaining: int | None
    passes: asyncio.Event = field(default_factory=asyncio.Event)


class RequestProxy(Waiters):
    """A proxy that listens on a free port of loopback and passes requests to ``upstream_port``.

    Args:
        upstream_port: the port of the server.
        seed: the seed of `random`, which decides what a call leaves open.
        host: the host of the server.

    Attributes:
        port: the port of the proxy, once entered.
        copies: requests that reach the server while no client waits for the answer.
        faults: the number of faults of each kind.
        requests: the requests received, in order.
        random: the seeded source.
    """

    def __init__(self, upstream_port: int, *, seed: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        self.upstream_port = upstream_port
        self.host = host
        self.port = 0
        self.copies: list[Copy] = []
        self.faults: Counter[type[Fault]] = Counter()
        self.requests: list[Request] = []
        self.random = random.Random(seed)
        self._plans: list[tuple[Callable[[Request], bool], Fault]] = []
        self._share = 0.0
        self._disturbed: frozenset[str] = frozenset()
        self._drawn: Sequence[Fault] = ()
        self._held: list[_Held] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            lambda reader, writer: self._spawn(self._serve(Client(reader, writer))),
            "127.0.0.1",
            0,
            backlog=1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with anyio.fail_after(DEADLINE):
            await self._server.wait_closed()

    # Faults

    def plan(self, which: Which, fault: Fault) -> None:
        """Break the next matching request that no earlier plan breaks."""
        matches = (lambda request: request.segment == which) if isinstance(which, str) else which
        self._plans.append((matches, fault))

    def disturb(self, share: float, segments: Sequence[str], faults: Sequence[Fault]) -> None:
        """Break a share of the requests to ``segments``, each by one of ``faults``.

        The seed decides which. A fault that is listed twice is twice as frequent.

        Args:
            share: the share, from 0 to 1.
            segments: the last segments of the paths.
            faults: the faults to choose from.
        """
        self._share, self._disturbed, self._drawn = share, frozenset(segments), faults

    def release(self) -> None:
        """Release every request that is held."""
        for held in self._held:
            held.passes.set()
        self._held.clear()

    def heal(self) -> None:
        """Break no further requests, and release every request that is held."""
        self._plans.clear()
        self._share = 0.0
        self.release()

    async def settled(self, *, timeout: float = DEADLINE) -> None:
        """Wait until every copy was answered completely."""
        with anyio.fail_after(timeout):
            await self.until(lambda: all(copy.over for copy in self.copies))

    def _decide(self, request: Request) -> Fault | None:
        for plan in self._plans:
            if plan[0](request):
                self._plans.remove(plan)
                return plan[1]
        if request.segment in self._disturbed and self.random.random() < self._share:
            return self.random.choice(self._drawn)
        return None

    # Requests

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Client) -> None:
        try:
            while (request := await client.request()) is not None:
                self.requests.append(request)
                if not await self._treat(client, request, len(self.requests)):
                    break
            client.writer.close()
        except (OSError, h11.ProtocolError):
            reset(client.transport)  # as the other side did
        finally:
            if not client.transport.is_closing():
                client.transport.abort()

    async def _treat(self, client: Client, request: Request, order: int) -> bool:
        """Forward or break a request. Return whether the connection can carry another one."""
        fault = None if request.upgrades else self._decide(request)
        if fault is not None:
            self.faults[type(fault)] += 1
        self.changed()
        match fault:
            case None:
                if request.upgrades:
                    return await self._upgrade(client, request)
            case Lose():
                await self._lose(client, request, order, headers=fault.headers)
                return False
            case Repeat():
                self._copy(request, self._hold(order, fault.later))
            case Delay():
                passes = self._hold(order, fault.later)
                if fault.cut or await client.disconnected_before(passes.wait()):
                    self._copy(request, passes)
                    self._cut(client)
                    return False
            case _:
                assert_never(fault)
        return (
            not await client.disconnected_before(self._exchange(client, request, order))
            and client.may_continue()
        )

    async def _exchange(self, client: Client, request: Request, order: int) -> None:
        async with self._asked(request) as upstream:
            async for event in upstream.answer():
                if isinstance(event, h11.Response):
                    self._answered(order)
                await client.answer(event)

    async def _lose(self, client: Client, request: Request, order: int, *, headers: bool) -> None:
        async with self._asked(request) as upstream:
            async for event in upstream.answer():
                if isinstance(event, h11.Response):
                    self._answered(order)
                    if headers:
                        await client.answer(event)
                    break
        self._cut(client)

    async def _upgrade(self, client: Client, request: Request) -> bool:
        async with self._asked(request) as upstream:
            async for event in upstream.answer():
                await client.answer(event)
            if client.http.our_state is not h11.SWITCHED_PROTOCOL:
                return client.may_continue()
            pumps = {
                asyncio.create_task(pump(source, target))
                for source, target in ((client, upstream), (upstream, client))
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in pumps:
                    task.cancel()
                await asyncio.wait(pumps)
        return False

    def _copy(self, request: Request, passes: asyncio.Event) -> None:
        copy = Copy(request)
        self.copies.append(copy)
        self._spawn(self._deliver(copy, passes))

    async def _deliver(self, copy: Copy, passes: asyncio.Event) -> None:
        await passes.wait()
        try:
            async with self._asked(copy.request) as upstream:
                async for event in upstream.answer():
                    if isinstance(event, h11.Response):
                        copy.status = event.status_code
                    elif isinstance(event, h11.Data):
                        copy.body += event.data
                    self.changed()
        except (OSError, h11.ProtocolError):
            pass  # the server went away
        finally:
            copy.over = True
            self.changed()

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[Upstream]:
        """Connect to the server and pass on the request."""
        upstream = Upstream(*await asyncio.open_connection(self.host, self.upstream_port))
        try:
            upstream.ask(request)
            yield upstream
        finally:
            upstream.writer.transport.abort()

    def _cut(self, client: Client) -> None:
        if self.random.random() < 0.5:
            reset(client.transport)
        else:
            client.writer.close()
        self.changed()

    def _hold(self, order: int, later: int | None) -> asyncio.Event:
        """Return an event that is set once a request with this position may pass."""
        held = _Held(order, later)
        if later == 0:
            held.passes.set()
        else:
            self._held.append(held)
        return held.passes

    def _answered(self, order: int) -> None:
        for held in list(self._held):
            if held.remaining is not None and held.order < order:
                held.remaining -= 1
                if held.remaining == 0:
                    self._held.remove(held)
                    held.passes.set()
        self.changed()
