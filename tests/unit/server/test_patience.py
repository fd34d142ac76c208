"""`Patience`: one timer for many short waits."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport.server.patience import Patience


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_each_wait_ends_after_its_own_time() -> None:
    loop = asyncio.get_running_loop()
    patience, begun = Patience(loop, 1.0), now()
    waiters = []
    for _ in range(3):
        waiters.append(loop.create_future())
        patience.limit(waiters[-1])
        await asyncio.sleep(0.25)
    for number, waiter in enumerate(waiters):
        await waiter
        assert now() - begun == pytest.approx(1.0 + number * 0.25, abs=0.001)


async def test_waits_that_ended_before_need_no_timer() -> None:
    loop = asyncio.get_running_loop()
    patience, begun = Patience(loop, 1.0), now()
    for _ in range(100):
        waiter = loop.create_future()
        patience.limit(waiter)
        waiter.set_result(None)
        await asyncio.sleep(0.001)
    last = loop.create_future()
    patience.limit(last)
    await last
    assert now() - begun == pytest.approx(1.1, abs=0.001)
    assert len(patience._waiting) == 0
    assert patience._timer is None


async def test_cancelled_wait_is_forgotten() -> None:
    loop = asyncio.get_running_loop()
    patience = Patience(loop, 1.0)
    cancelled, other = loop.create_future(), loop.create_future()
    patience.limit(cancelled)
    cancelled.cancel()
    await asyncio.sleep(0.5)
    patience.limit(other)
    await other
    assert not patience._waiting
