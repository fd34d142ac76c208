"""A TCP proxy that breaks connections: on demand, at a given byte, or drawn from a seed.

It is between a client and a server on loopback and does not know their protocol, so it cuts in the
middle of frames as a network does. *up* is from the client to the server, *down* is back.

    async with FaultProxy(server.port, seed=1) as proxy:
        proxy.cut_after(100, direction="down", how="rst")
        ...  # talk to proxy.port
        await proxy.wait_for_cuts(1)
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import anyio

from tests.support.faults.tcp_link import Direction, How, Link, PlannedCut, reset
from transport.waiting import Waiters

DEADLINE = 30.0
"""Seconds that a test waits for a proxy. Generous, because machines are loaded."""


@dataclass(slots=True)
class Statistics:
    """Counts so far."""

    connections: int = 0
    """Connections passed to the server."""
    refused: int = 0
    unreachable: int = 0
    """Connections that the server did not accept."""
    cuts: int = 0
    """Faults that ended at least one connection."""
    links_cut: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class FaultProxy(Waiters):
    """A proxy that listens on a free port of loopback and passes everything to ``upstream_port``.

    Args:
        upstream_port: the port of the server; may be changed while running.
        seed: the seed of `random`, which decides what a call leaves open.
        host: the host of the server.

    Attributes:
        port: the port of the proxy, once entered.
        refuse: while true, a new connection is reset as soon as it is made.
        links: the open connections.
        statistics: counts so far.
        random: the seeded source.
    """

    def __init__(self, upstream_port: int, *, seed: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        self.upstream_port = upstream_port
        self.host = host
        self.port = 0
        self.refuse = False
        self.links: list[Link] = []
        self.statistics = Statistics()
        self.random = random.Random(seed)
        self.stalled: set[Direction] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._plans: deque[PlannedCut] = deque()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Link(self).client, "127.0.0.1", 0, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        server = self._server
        assert server is not None
        server.close()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        for link in list(self.links):
            for side in (link.client, link.server):
                if side.transport is not None:
                    side.transport.abort()
        with anyio.fail_after(DEADLINE):
            await self.until(lambda: not self.links)
            await server.wait_closed()

    # Faults

    def cut(self, how: How | None = None) -> int:
        """End every open connection with FIN or RST to both sides, drawn if not given.

        Silent connections stay silent.

        Returns:
            The number of connections that it ended.
        """
        how = how or self._draw_how()
        count = sum(link.cut(how) for link in list(self.links))
        if count:
            self.statistics.cuts += 1
            self.changed()
        return count

    def reset_clients(self) -> None:
        """Reset the client's half of every silent connection. The server's half stays open."""
        for link in list(self.links):
            if link.silent and link.client.transport is not None:
                reset(link.client.transport)

    def cut_after(
        self,
        count: int,
        *,
        direction: Direction | None = None,
        how: How | None = None,
        every: bool = False,
    ) -> None:
        """Cut the connection that passes the ``count``-th byte from now on, after that byte.

        If several cuts are planned, each starts to count when the previous one has happened.

        Args:
            count: bytes over all connections, at least 1.
            direction: the direction whose bytes count; both by default.
            how: FIN or RST; drawn if not given.
            every: whether to cut all open connections, not only this one.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self._plans.append(PlannedCut(count, direction, how or self._draw_how(), every))

    def stall(self, direction: Direction | None = None) -> None:
        """Stop passing data in this direction (by default in both), and keep all connections open.

        Data sent meanwhile waits in the sockets. `heal` releases it; a cut loses it.
        """
        self.stalled |= {"up", "down"} if direction is None else {direction}
        self._apply_pauses()

    def heal(self) -> None:
        """End stalling and refusing, and cancel the cuts that have not happened."""
        self.refuse = False
        self.stalled = set()
        self._plans.clear()
        self._apply_pauses()

    # Waiting

    async def wait_for_bytes(
        self, count: int, *, direction: Direction | None = None, timeout: float = DEADLINE
    ) -> None:
        """Wait until ``count`` more bytes have passed in this direction, or in either."""
        goal = self._bytes(direction) + count
        await self._wait_until(lambda: self._bytes(direction) >= goal, timeout)

    async def wait_for_connections(self, count: int, *, timeout: float = DEADLINE) -> None:
        """Wait until ``count`` connections in total were passed to the server."""
        await self._wait_until(lambda: self.statistics.connections >= count, timeout)

    async def wait_for_cuts(self, count: int, *, timeout: float = DEADLINE) -> None:
        """Wait until there were ``count`` cuts in total."""
        await self._wait_until(lambda: self.statistics.cuts >= count, timeout)

    async def wait_for_refusals(self, count: int, *, timeout: float = DEADLINE) -> None:
        """Wait until ``count`` connections in total were refused."""
        await self._wait_until(lambda: self.statistics.refused >= count, timeout)

    async def wait_for_links(self, count: int, *, timeout: float = DEADLINE) -> None:
        """Wait until exactly ``count`` connections are open."""
        await self._wait_until(lambda: len(self.links) == count, timeout)

    async def _wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        with anyio.fail_after(timeout):
            await self.until(condition)

    # For the links

    def next_plan(self, direction: Direction) -> PlannedCut | None:
        """Return the planned cut that counts bytes of ``direction`` now, if any."""
        plan = self._plans[0] if self._plans else None
        return plan if plan is not None and plan.direction in (None, direction) else None

    def execute(self, plan: PlannedCut, link: Link) -> None:
        """Carry out ``plan`` after its byte has passed on ``link``."""
        self._plans.remove(plan)
        self.statistics.cuts += 1
        for one in list(self.links) if plan.every else [link]:
            one.cut(plan.how)

    def _bytes(self, direction: Direction | None) -> int:
        up, down = self.statistics.bytes_up, self.statistics.bytes_down
        return up + down if direction is None else up if direction == "up" else down

    def _draw_how(self) -> How:
        return self.random.choice(("fin", "rst"))

    def _apply_pauses(self) -> None:
        for link in self.links:
            link.apply_pauses()
