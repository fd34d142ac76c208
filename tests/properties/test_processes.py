"""The machine of processes: a hub in several, which are killed, stopped and cut off at random.

The environment says how many schedules it plays, as for `tests.properties.test_machine`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties.mutants.mutant import Mutant
from tests.properties.mutants.relay import RELAY
from tests.properties.processes.schedule import PROCESSES

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "100"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))

TO_DETECT = 300
"""How many schedules the machine has to detect a mutant."""


@pytest.mark.timeout(0)
def test_random_processes_hold() -> None:
    """EPO-1, MRK-3, NUM-3, NUM-4, RES-1 to RES-3, RES-7: see `World`."""
    PROCESSES.check(range(SEED, SEED + EXAMPLES))


@pytest.mark.parametrize("mutant", RELAY, ids=lambda mutant: mutant.name)
def test_relay_mutant_is_detected(mutant: Mutant) -> None:
    first = mutant.first_seed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutant.where, mutant.method, mutant.broken())
        detected = PROCESSES.detects(range(first, first + TO_DETECT))
    assert detected, f"the machine does not detect: {mutant.rule}"
