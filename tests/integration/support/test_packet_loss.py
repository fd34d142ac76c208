"""The cable, with sockets as its ends."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from tests.support.faults.packet_loss import Cable


def packet(number: int, *, port: int = 1000, back: bool = False) -> bytes:
    """Return a packet of a connection over IPv4 between this port and port 80."""
    ends = [(bytes([192, 0, 2, 2]), port), (bytes([192, 0, 2, 1]), 80)]
    if back:
        ends.reverse()
    addresses = b"".join(address for address, _ in ends)
    ports = b"".join(port.to_bytes(2) for _, port in ends)
    return bytes([0x45, *bytes(11)]) + addresses + ports + number.to_bytes(2)


@asynccontextmanager
async def cable(**options: int) -> AsyncIterator[tuple[Cable, socket.socket, socket.socket]]:
    """Run a cable with two machines at its ends."""
    one, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    other, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends = (end.detach(), far_end.detach())
    for each in ends:
        os.set_blocking(each, False)
    one.setblocking(False)
    other.setblocking(False)
    with one, other:
        async with Cable(ends, **options) as between:
            yield between, one, other


async def arrived(machine: socket.socket, count: int) -> list[bytes]:
    found: list[bytes] = []
    with anyio.fail_after(30):
        while len(found) < count:
            await anyio.wait_readable(machine)
            found.append(machine.recv(2000))
    return found


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - no event announces it
            await anyio.sleep(0.005)


def left(machine: socket.socket) -> bool:
    try:
        machine.recv(2000)
    except BlockingIOError:
        return False
    return True


async def test_cable_passes_packets_both_ways_in_order() -> None:
    async with cable() as (between, one, other):
        for number in range(5):
            one.send(packet(number))
            other.send(packet(number, back=True))
        assert await arrived(other, 5) == [packet(number) for number in range(5)]
        assert await arrived(one, 5) == [packet(number, back=True) for number in range(5)]
        assert between.packets.passed == 10


async def test_cable_loss_is_drawn_by_seed() -> None:
    async def lost(seed: int) -> list[int]:
        found = []
        async with cable(seed=seed) as (between, one, other):
            between.loss = 0.3
            for number in range(100):
                one.send(packet(number))
                with anyio.fail_after(30):
                    while between.packets.lost + between.packets.passed <= number:
                        await anyio.lowlevel.checkpoint()
                if not left(other):
                    found.append(number)
        return found

    first = await lost(1)
    assert 10 < len(first) < 50
    assert await lost(1) == first
    assert await lost(2) != first


async def test_cable_delay_holds_packets_back() -> None:
    async with cable() as (between, one, other):
        between.delay = 0.05
        for number in range(3):
            one.send(packet(number))
        assert await arrived(other, 3) == [packet(number) for number in range(3)]
        between.delay = 3600.0
        one.send(packet(3))
        await until(lambda: between.packets.delayed == 4)
        between.delay = 0.0
        one.send(packet(4))
        assert await arrived(other, 1) == [packet(4)]


async def test_cable_silence_drops_delayed_packets() -> None:
    async with cable() as (between, one, other):
        between.delay = 1.0
        one.send(packet(1))
        await until(lambda: between.packets.delayed == 1)
        between.silent = True
        one.send(packet(2))
        await until(lambda: between.packets.held == 2)
        between.heal()
        one.send(packet(3))
        assert await arrived(other, 1) == [packet(3)]


async def test_cable_forget_drops_old_connections_only() -> None:
    async with cable() as (between, one, other):
        one.send(packet(1))
        assert await arrived(other, 1) == [packet(1)]
        between.forget()
        one.send(packet(2))
        other.send(packet(3, back=True))
        one.send(packet(4, port=1001))
        assert await arrived(other, 1) == [packet(4, port=1001)]
        other.send(packet(5, port=1001, back=True))
        assert await arrived(one, 1) == [packet(5, port=1001, back=True)]
        assert between.packets.held == 2
