"""The connections of a `FaultProxy`: each joins a client's socket to one to the server.

A link copies data in both directions, and pauses reading if the other side does not keep up. It
counts its bytes against the planned cuts of the proxy, and carries out the cuts.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.support.faults.tcp_proxy import FaultProxy

Direction = Literal["up", "down"]
How = Literal["fin", "rst", "silence"]
"""How a connection ends. With *silence* neither side is notified: the connection stays half open,
and no more data passes."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: close() sends RST and drops unsent data."""
_HIGH_WATER = 64 * 1024
"""Bytes buffered for a side that does not read, before reading from the other side pauses."""


@dataclass(slots=True)
class PlannedCut:
    """A cut that waits for its byte."""

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
