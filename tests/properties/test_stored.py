"""The machine of stored sessions: homes are killed, stopped and claimed, and the store fails.

The environment says how many schedules it plays, as for `tests.properties.test_machine`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties.mutants.mutant import Mutant
from tests.properties.mutants.stored import STORED
from tests.properties.stored.schedule import check_schedules, failure, schedule

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "220"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))

TO_DETECT = 300
"""How many schedules the machine has to detect a mutant."""


@pytest.mark.timeout(0)
def test_random_stores_hold() -> None:
    """MRK-3, NUM-3, NUM-4, OPN-12, EPO-2, RES-2, CLS-3: see `World`."""
    check_schedules(range(SEED, SEED + EXAMPLES))


@pytest.mark.parametrize("mutant", STORED, ids=lambda mutant: mutant.name)
def test_store_mutant_is_detected(mutant: Mutant) -> None:
    first = mutant.first_seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.where, mutant.method, mutant.broken())
        seeds = range(first, first + TO_DETECT)
        detected = next((seed for seed in seeds if failure(schedule(seed)) is not None), None)
    assert detected is not None, f"the machine does not detect: {mutant.rule}"
