"""Counts of lost, duplicated and reordered messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise


def lost(due: int, arrived: Collection[int], reported: Collection[int] = ()) -> int:
    """Count the messages from 1 to ``due`` that neither arrived nor were reported by a reset."""
    return len({*range(1, due + 1)} - {*arrived} - {*reported})


def doubled(arrived: Collection[int]) -> int:
    """Count the messages that had arrived before."""
    return len(arrived) - len({*arrived})


def disordered(arrived: Sequence[int]) -> int:
    """Count the messages that arrived after a later one."""
    return sum(later < earlier for earlier, later in pairwise(arrived))
