"""What became of numbered messages, counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise


def lost(due: int, arrived: Collection[int], told: Collection[int] = ()) -> int:
    """Count those numbered 1 to ``due`` that never arrived, and that no reset reported."""
    return len({*range(1, due + 1)} - {*arrived} - {*told})


def doubled(arrived: Collection[int]) -> int:
    """How many had arrived before."""
    return len(arrived) - len({*arrived})


def disordered(arrived: Sequence[int]) -> int:
    """Count those that came after a later one."""
    return sum(later < earlier for earlier, later in pairwise(arrived))
