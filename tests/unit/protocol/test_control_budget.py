"""The rate of frames that carry nothing new (LIV-5)."""

from __future__ import annotations

import pytest

from transport.protocol.server.control_budget import ControlBudget


def spent(budget: ControlBudget, now: float, frames: int = 1000) -> int:
    """Return how many of that many frames are within the budget."""
    return sum([budget.spend(now) for _ in range(frames)])


@pytest.mark.parametrize("per_second", [1, 3, 64, 200, 999])
def test_budget_is_of_one_second(per_second: int) -> None:
    budget = ControlBudget(per_second)
    assert spent(budget, 5.0) == per_second
    assert spent(budget, 5.0) == 0
    assert spent(budget, 5.5) == pytest.approx(per_second / 2, abs=1)
    assert spent(budget, 100.0) == per_second


def test_frames_at_the_rate_are_never_refused() -> None:
    budget = ControlBudget(200)
    assert all(budget.spend(number / 200) for number in range(10_000))
