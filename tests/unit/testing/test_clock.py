"""The clocks of `transport.testing`: timers and the clock agree, whatever the steps."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transport import Channel, Hub
from transport.testing import JumpingEventLoop, drive
from transport.testing.clock import MAX_OVERDUE_TIMERS
from transport.testing.faults import NO_FAULTS
from transport.testing.lossy_link import LossyLink

T = TypeVar("T")
TRANSPORTS = ("websocket", "sse", "longpoll")

DELAYS = st.floats(min_value=1e-12, max_value=1e8, allow_subnormal=False)
STEPS = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.07, 0.1, 1 / 3, 0.7]) | st.floats(1e-6, 2.0)


def jumping(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
        return runner.run(work)


@given(st.lists(DELAYS, min_size=1, max_size=8), st.booleans())
@example([1.4, 0.1000000000000002], False)
@example([1.5, 1.5000000000000002], True)
@example([200 * 86_400.0, 0.001], False)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_timer_fires_when_clock_has_reached_it(delays: list[float], at_once: bool) -> None:
    """So code that compares its deadline with the clock does not set the same timer again."""
    late: list[float] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()

        def fired(when: float) -> None:
            late.append(loop.time() - when)

        for delay in delays:
            loop.call_at(loop.time() + delay, fired, loop.time() + delay)
            if not at_once:
                await asyncio.sleep(delay)
        await asyncio.sleep(max(delays))

    jumping(work())
    assert len(late) == len(delays)
    assert min(late) >= 0
    assert max(late) < 1e-6


@pytest.mark.parametrize("transport", TRANSPORTS)
@given(st.lists(STEPS, min_size=1, max_size=30))
@example([0.1] * 30)
@example([0.01] * 30)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_page_receives_messages_at_any_step(transport: str, steps: list[float]) -> None:
    """MRK-6: the page's acks are due at sums of floats, which the clock has to reach."""

    async def work() -> None:
        async def send(channel: Channel) -> None:
            for step in steps:
                await channel.send(step)
                await asyncio.sleep(step)

        async with drive(Hub(send), transport=transport) as page:
            for step in steps:
                assert await page.receive() == step

    jumping(work())


def test_deadline_past_another_timer_is_reached() -> None:
    """The timer at 1.5 must not fire the one an instant later, which then would be set for ever."""

    async def work() -> float:
        loop = asyncio.get_running_loop()
        deadline = 1.5000000000000002
        woken = asyncio.Event()

        def tick() -> None:
            woken.set()
            if loop.time() < deadline:
                loop.call_at(deadline, tick)

        async def wait() -> None:
            while True:
                await woken.wait()
                woken.clear()

        waiting = asyncio.create_task(wait())
        loop.call_at(deadline, tick)
        await asyncio.sleep(1.5)
        await asyncio.sleep(1)
        waiting.cancel()
        return loop.time()

    assert jumping(work()) == 2.5


def test_timer_that_is_always_overdue_raises_its_name() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()

        def spins() -> None:
            loop.call_at(loop.time(), spins)

        spins()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match=r"stands at 0\.0 s.*spins"):
        jumping(work())


def test_loop_that_never_sleeps_raises_next_timer() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, print, "never")
        while loop.time() < 1:  # noqa: ASYNC110 - the mistake under test
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match=r"stands at 0\.0 s.* print"):
        jumping(work())


def test_many_overdue_timers_pass_if_clock_moves() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            for _ in range(MAX_OVERDUE_TIMERS // 2):
                loop.call_at(loop.time(), int)
            await asyncio.sleep(1)
        return loop.time()

    assert jumping(work()) == 3


# The link of a pair


@given(st.lists(STEPS, min_size=1, max_size=30))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
def test_lossy_link_runs_actions_at_their_time(steps: list[float]) -> None:
    link = LossyLink(1, NO_FAULTS)
    late: list[float] = []
    for step in steps:
        when = link.now + step
        link.call_at(when, lambda when=when: late.append(link.now - when))  # type: ignore[misc]
        link.call_at(link.now - step, lambda: None)
        before = link.now
        link.run(link.now + step, lambda: None)
        assert link.now >= before
    assert late == [0] * len(steps)


def test_lossy_link_that_stands_still_raises_action() -> None:
    link = LossyLink(1, NO_FAULTS)

    def spins() -> None:
        link.call_at(link.now, spins)

    spins()
    with pytest.raises(RuntimeError, match=r"stands at 0\.0 s.*spins"):
        link.run(1, lambda: None)
