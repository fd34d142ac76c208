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
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import anyio

from transport.waiting import Waiters

DEADLINE = 30.0
"""Seconds that a test waits for a proxy. Generous, because machines are loaded."""

Direction = Literal["up", "down"]
How = Literal["fin", "rst", "silence"]
"""How a connection ends. With *silence* neither side is notified: the connection stays half open,
and no more data passes."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: close() sends RST and drops unsent data."""
_HIGH_WATER = 64 * 1024
"""Bytes buffered for a side that does not read, before reading from the other side pauses."""


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


@dataclass(slots=True)
class _Planned:
    remaining: int
    direction: Direction | None
    how: How
    every: bool


class _Side(asyncio.Protocol):
    """One of the two sockets of a link; what it reads flows in `direction`."""

    def __init__(self, link: Link, direction: Direction) -> None:
        self.link = link
        self.direction: Direction = direction
        self.transport: asyncio.Transport | None = None
        self.blocked = False
        """Whether the other side accepts no more data for now."""
        self.ended = False
        """Whether its peer has closed its writing half."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.direction == "up":
            transport.pause_reading()
            self.link.begin()

    def data_received(self, data: bytes) -> None:
        self.link.pass_on(self, data)

    def eof_received(self) -> bool:
        self.ended = True
        other = self.link.other(self)
        if self.link.silent:
            return True
        if other.ended:
            self.link.close()
        elif other.transport is not None and other.transport.can_write_eof():
            other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.link.other(self).blocked = True
        self.link.apply_pauses()

    def resume_writing(self) -> None:
        self.link.other(self).blocked = False
        self.link.apply_pauses()

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.link.lost(self, error)


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self.client = _Side(self, "up")
        self.server = _Side(self, "down")
        self.bytes_up = 0
        self.bytes_down = 0
        self._connecting: asyncio.Task[None] | None = None
        self._broken = False
        self.silent = False

    def other(self, side: _Side) -> _Side:
        return self.server if side is self.client else self.client

    def begin(self) -> None:
        proxy = self._proxy
        proxy.links.append(self)
        if proxy.refuse:
            proxy.statistics.refused += 1
            self._break("rst")
        else:
            self._connecting = asyncio.create_task(self._connect())
            proxy.tasks.add(self._connecting)
            self._connecting.add_done_callback(proxy.tasks.discard)
        proxy.changed()

    async def _connect(self) -> None:
        proxy = self._proxy
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.server, proxy.host, proxy.upstream_port
            )
        except OSError:
            proxy.statistics.unreachable += 1
            self._break("rst")
        else:
            if self.client.transport is None or (self._broken and not self.silent):
                self._break("rst")
            else:
                proxy.statistics.connections += 1
                self.apply_pauses()
        proxy.changed()

    def pass_on(self, side: _Side, data: bytes) -> None:
        if self._broken:
            return
        proxy = self._proxy
        plan = proxy.next_plan(side.direction)
        whole = plan is None or len(data) < plan.remaining
        part = data if whole or plan is None else data[: plan.remaining]
        if plan is not None:
            plan.remaining -= len(part)
        if side.direction == "up":
            self.bytes_up += len(part)
            proxy.statistics.bytes_up += len(part)
        else:
            self.bytes_down += len(part)
            proxy.statistics.bytes_down += len(part)
        target = self.other(side).transport
        if target is not None and not target.is_closing():
            target.write(part)
        if plan is not None and not whole:
            proxy.execute(plan, self)
        proxy.changed()

    def apply_pauses(self) -> None:
        if self.server.transport is None:
            return  # read from the client once the server is connected
        for side in (self.client, self.server):
            transport = side.transport
            if transport is None or transport.is_closing():
                continue
            if self.silent or side.blocked or side.direction in self._proxy.stalled:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def cut(self, how: How) -> bool:
        """End both halves now. Return False if the connection had already ended."""
        if self._broken:
            return False
        self._proxy.statistics.links_cut += 1
        self._break(how)
        return True

    def close(self) -> None:
        for side in (self.client, self.server):
            if side.transport is not None:
                side.transport.close()

    def _break(self, how: How) -> None:
        self._broken = True
        if how == "silence":
            self.silent = True
            self.apply_pauses()
            return
        for side in (self.client, self.server):
            transport = side.transport
            if transport is None:
                continue
            if how == "fin":
                transport.close()
            else:
                reset(transport)

    def lost(self, side: _Side, error: Exception | None) -> None:
        other = self.other(side).transport
        if other is not None and not other.is_closing() and not self.silent:
            if error is None:
                other.close()
            else:
                reset(other)
        if self.client.transport is None and self.server.transport is None:
            if self in self._proxy.links:
                self._proxy.links.remove(self)
            self._proxy.changed()


def reset(transport: asyncio.Transport) -> None:
    """End a connection with RST."""
    sock: socket.socket = transport.get_extra_info("socket")
    if sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


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
        self._plans: deque[_Planned] = deque()
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
        self._plans.append(_Planned(count, direction, how or self._draw_how(), every))

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

    def next_plan(self, direction: Direction) -> _Planned | None:
        """Return the planned cut that counts bytes of ``direction`` now, if any."""
        plan = self._plans[0] if self._plans else None
        return plan if plan is not None and plan.direction in (None, direction) else None

    def execute(self, plan: _Planned, link: Link) -> None:
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
