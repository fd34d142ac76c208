"""What became of numbered messages, counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise


def lost(due: int, arrived: Collection[int], told: Collection[int] = ()) -> int:
    """How many of those numbered 1 to ``due`` never arrived, without a reset that told so."""
    return len({*range(1, due + 1)} - {*arrived} - {*told})


def doubled(arrived: Collection[int]) -> int:
    """How many had arrived before."""
    return len(arrived) - len({*arrived})


def disordered(arrived: Sequence[int]) -> int:
    """How many came behind a later one."""
    return sum(later < earlier for earlier, later in pairwise(arrived))
