"""`Departure`: clients leave a process that stops one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from transport.server.departure import CLIENTS_PER_SECOND, INTERVAL, Departure
from transport.testing.clock import JumpingEventLoop


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}


class Clients:
    """Clients of a process, and when they have left it."""

    def __init__(self, count: int, most: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        self.left: list[float] = []
        self.ends: list[int] = []
        self._began = loop.time()
        leave: Callable[[], None] = partial(self._leave, loop)
        self.departure = Departure(loop, [leave] * count, most, self._end)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        self.left.append(loop.time() - self._began)

    def _end(self) -> None:
        self.ends.append(len(self.left))


async def test_each_client_leaves_in_its_turn() -> None:
    clients = Clients(150)
    assert clients.departure.seconds == 150 / CLIENTS_PER_SECOND
    assert clients.left == []
    await asyncio.sleep(clients.departure.seconds + INTERVAL)
    assert clients.ends == [150]
    for number, at in enumerate(clients.left):
        assert number / CLIENTS_PER_SECOND <= at + INTERVAL
        assert at <= number / CLIENTS_PER_SECOND + INTERVAL
    assert not clients.departure.is_hurried


async def test_many_clients_leave_in_time() -> None:
    clients = Clients(10_000, most=5.0)
    assert clients.departure.seconds == 5.0
    await asyncio.sleep(2.5 + INTERVAL)
    assert 4_900 < len(clients.left) < 5_200
    await asyncio.sleep(2.5)
    assert clients.ends == [10_000]


async def test_single_client_leaves_at_once() -> None:
    clients = Clients(1)
    await asyncio.sleep(0)
    assert clients.ends == [1]


async def test_without_clients_it_is_over_at_once() -> None:
    clients = Clients(0)
    assert clients.departure.seconds == 0
    await asyncio.sleep(0)
    assert clients.ends == [0]


async def test_hurry_sends_all_others_away_now() -> None:
    clients = Clients(100)
    await asyncio.sleep(0.5)
    assert clients.ends == []
    for _ in range(2):
        clients.departure.hurry()
        assert clients.ends == [100]
        assert clients.departure.is_hurried
    await asyncio.sleep(2)
    assert len(clients.left) == 100
    assert clients.ends == [100]


async def test_hurry_after_the_last_client_has_no_effect() -> None:
    clients = Clients(3)
    await asyncio.sleep(1)
    clients.departure.hurry()
    assert clients.ends == [3]
    assert not clients.departure.is_hurried


async def test_nobody_leaves_after_cancel() -> None:
    clients = Clients(100)
    await asyncio.sleep(0.5)
    gone = len(clients.left)
    clients.departure.cancel()
    await asyncio.sleep(2)
    clients.departure.hurry()
    assert len(clients.left) == gone
    assert clients.ends == []
