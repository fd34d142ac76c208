"""`Pause`: the first attempt is made at once, and later ones at most a second apart."""

from __future__ import annotations

import asyncio

from tests.support.turned_clock import anyio_backend
from transport.stores.pause import FIRST_PAUSE, LONGEST_PAUSE, Pause

__all__ = ("anyio_backend",)


async def waited(pause: Pause) -> float:
    """Return how many seconds a pause lasts."""
    now = asyncio.get_running_loop().time
    began = now()
    await pause.wait()
    return now() - began


async def test_pauses_grow_from_none_to_the_longest() -> None:
    pause = Pause()
    lengths = [await waited(pause) for _ in range(10)]
    bounds = [0.0, *(min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(9))]
    for length, bound in zip(lengths, bounds, strict=True):
        assert bound / 2 - 1e-6 <= length <= bound + 1e-6, lengths


async def test_connection_that_works_is_made_again_at_once() -> None:
    pause = Pause()
    for _ in range(3):
        await pause.wait()
    pause.reset()
    assert await waited(pause) == 0
