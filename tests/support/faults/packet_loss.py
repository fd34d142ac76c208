"""A cable between two network namespaces that can lose, delay or block IP packets.

Its ends are TUN devices: packets that the kernel of one namespace sends are read here and written
to the other. Not every kernel has netem, and this needs no firewall either.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_LARGEST = 65535


def tun(name: str) -> int:
    """Create the TUN device with this name. It exists until the returned descriptor is closed.

    Raises:
        OSError: a TUN device cannot be created here.
    """
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(end)
        raise
    return end


@dataclass(slots=True)
class Packets:
    """Counts of the packets so far."""

    passed: int = 0
    lost: int = 0
    held: int = 0
    """Packets that arrived, or were in transit, while nothing passed."""
    delayed: int = 0


class Cable:
    """Forwards packets from each end to the other while entered.

    Args:
        ends: file descriptors of `tun`, which are closed at the end.
        seed: the seed of the random source.

    Attributes:
        loss: the share of packets that is lost, in each direction.
        delay: the delay of each packet in seconds, in each direction.
        silent: whether nothing passes in either direction, without notice to either side.
        packets: counts so far.
    """

    def __init__(self, ends: tuple[int, int], *, seed: int = 1) -> None:
        self.loss = 0.0
        self.delay = 0.0
        self.silent = False
        self.packets = Packets()
        self._ends = ends
        self._random = random.Random(seed)
        self._open = False
        self._flows: set[frozenset[bytes]] = set()
        self._forgotten: set[frozenset[bytes]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._open = True
        one, other = self._ends
        loop.add_reader(one, self._read, one, other)
        loop.add_reader(other, self._read, other, one)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        for end in self._ends:
            asyncio.get_running_loop().remove_reader(end)
            os.close(end)

    def heal(self) -> None:
        """Forward all packets at once again. Connections dropped by `forget` stay dropped."""
        self.loss = self.delay = 0.0
        self.silent = False

    def forget(self) -> None:
        """Drop all packets of the existing connections, without any notice.

        A NAT does so if it was restarted or has given the client another address: it does not know
        these connections.
        """
        self._forgotten |= self._flows

    def _read(self, here: int, there: int) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while packet := os.read(here, _LARGEST):
                flow = _flow(packet)
                self._flows.add(flow)
                if self.silent or flow in self._forgotten:
                    self.packets.held += 1
                elif self._random.random() < self.loss:
                    self.packets.lost += 1
                elif self.delay:
                    self.packets.delayed += 1
                    loop.call_later(self.delay, self._write, there, packet)
                else:
                    self._write(there, packet)

    def _write(self, there: int, packet: bytes) -> None:
        # Packets in transit are lost with the rest.
        if self.silent or not self._open:
            self.packets.held += 1
            return
        # A device that is down accepts no packets.
        with suppress(OSError):
            os.write(there, packet)
            self.packets.passed += 1


def _flow(packet: bytes) -> frozenset[bytes]:
    """Return both ends of a TCP packet over IPv4; the same for both directions."""
    head = (packet[0] & 0x0F) * 4
    return frozenset(
        (packet[12:16] + packet[head : head + 2], packet[16:20] + packet[head + 2 : head + 4])
    )
