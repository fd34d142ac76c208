"""A cable of our own between two network namespaces: IP packets are lost, late, or do not pass.

Its ends are TUN devices: what the kernel of a namespace sends there is read here, and written into
the other. Not every kernel has netem, and this needs no firewall either.
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
    """Make the TUN device of that name; it goes with the file descriptor that this returns.

    Raises:
        OSError: it may not be made here.
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
    """What has happened to the packets so far."""

    passed: int = 0
    lost: int = 0
    held: int = 0
    """Those that came, or were on their way, while nothing passed."""
    delayed: int = 0


class Cable:
    """Passes on what comes out of either end, while entered.

    Args:
        ends: file descriptors of `tun`, which are closed at the end.
        seed: of what is drawn.

    Attributes:
        loss: the part of the packets that is lost, each way.
        delay: seconds that each takes, each way.
        silent: whether nothing passes either way, and nobody is told.
        packets: what has happened so far.
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
        """Pass on all, at once; but what was forgotten stays so."""
        self.loss = self.delay = 0.0
        self.silent = False

    def forget(self) -> None:
        """Drop all packets of the connections that exist, without any notice.

        So does a NAT that was started anew, or has given the client another address: for it they
        are no connections.
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
        # What was on its way is lost with the rest.
        if self.silent or not self._open:
            self.packets.held += 1
            return
        # A device that is down takes none.
        with suppress(OSError):
            os.write(there, packet)
            self.packets.passed += 1


def _flow(packet: bytes) -> frozenset[bytes]:
    """Both ends, each with its port, of a packet of TCP over IPv4; the same for both directions."""
    head = (packet[0] & 0x0F) * 4
    return frozenset(
        (packet[12:16] + packet[head : head + 2], packet[16:20] + packet[head + 2 : head + 4])
    )
