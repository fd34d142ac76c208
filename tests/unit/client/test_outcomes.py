"""What became of each send."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from transport.client.outcomes import MAX_FAILED_RANGES, Outcomes
from transport.errors import Fate, NotRead, SessionReset, Unacknowledged
from transport.protocol.client.events import Settled

SENDS = 1000


@pytest.mark.parametrize("outcome", ["refused", "reset", "handled one by one"])
async def test_outcomes_of_many_sends_cost_little(outcome: str) -> None:
    """The cost is of each send once, not of each outcome for every task that waits."""
    outcomes = Outcomes()
    waits = [asyncio.create_task(outcomes.wait(number + 1, SENDS)) for number in range(SENDS)]
    await asyncio.sleep(0)
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        if outcome == "refused":
            outcomes.reject(1, SENDS, NotRead())
        elif outcome == "reset":
            outcomes.settle([Settled(1, SENDS, Fate.UNKNOWN)], SessionReset("expired", [], 0))
        else:
            for number in range(1, SENDS + 1):
                outcomes.settle([Settled(number, number, Fate.HANDLED)])
    finally:
        sys.setprofile(None)
    results = await asyncio.gather(*waits, return_exceptions=True)
    expected: dict[str, Any] = {"refused": NotRead, "reset": Unacknowledged}
    assert {type(result) for result in results} == {expected.get(outcome, type(None))}
    assert calls < 20 * SENDS


async def test_outcome_that_is_forgotten_still_reaches_its_task() -> None:
    """It is raised in the task that waited for it, however many others fail before it runs."""
    outcomes = Outcomes()
    last = MAX_FAILED_RANGES + 5
    wait = asyncio.create_task(outcomes.wait(1, last))
    await asyncio.sleep(0)
    for number in range(1, last + 1):
        outcomes.reject(number, number, NotRead())
    with pytest.raises(NotRead):
        await wait
    with pytest.raises(ValueError, match="forgotten"):
        await outcomes.wait(1, last)


async def test_cancelled_wait_leaves_the_others_waiting() -> None:
    outcomes = Outcomes()
    first, second = (asyncio.create_task(outcomes.wait(1, 3)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    outcomes.reject(3, 3, NotRead())
    outcomes.settle([Settled(1, 2, Fate.HANDLED)])
    await second
    await outcomes.wait(2, 3)
    with pytest.raises(NotRead):
        await outcomes.wait(3, 3)
