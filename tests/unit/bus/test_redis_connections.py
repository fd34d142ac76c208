"""What runs on a connection ends together, and what it raised is told once."""

from __future__ import annotations

import asyncio

import pytest

from transport.bus.redis.connections import until_one_ends


async def fail(text: str) -> None:
    raise ConnectionError(text)


async def wait(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cancelled")


async def test_others_are_cancelled_when_one_fails() -> None:
    log: list[str] = []
    with pytest.raises(ConnectionError, match="read"):
        await until_one_ends(wait(log), fail("read"), wait(log))
    assert log == ["cancelled"] * 2


async def test_all_are_cancelled_with_their_caller() -> None:
    log: list[str] = []
    task = asyncio.ensure_future(until_one_ends(wait(log), wait(log)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["cancelled"] * 2
