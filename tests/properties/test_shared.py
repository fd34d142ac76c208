"""The machine of processes that share a store, which pauses, fails and loses data at random.

The environment says how many schedules it plays, as for `tests.properties.test_machine`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties.mutants.mutant import Mutant
from tests.properties.mutants.shared import SHARED
from tests.properties.shared.schedule import STORED

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "20"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))

FOUND = (3024, 3428, 201023, 600023)
"""Seeds of schedules that have found faults which few others find."""
TO_DETECT = 40
"""How many schedules the machine has to detect a mutant."""


@pytest.mark.timeout(0)
def test_random_store_and_processes_hold() -> None:
    """MRK-3, NUM-3, NUM-4, RES-1 to RES-3: see `StoredWorld`."""
    STORED.check([*range(SEED, SEED + EXAMPLES), *FOUND])


@pytest.mark.parametrize("mutant", SHARED, ids=lambda mutant: mutant.name)
def test_mutant_of_shared_sessions_is_detected(mutant: Mutant) -> None:
    first = mutant.first_seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.where, mutant.method, mutant.broken())
        detected = STORED.detects(range(first, first + TO_DETECT))
    assert detected, f"the machine does not detect: {mutant.rule}"
