"""The machine of processes that share a store, which pauses, fails and loses data at random.

The environment says how many schedules it plays, as for `tests.properties.test_machine`.
"""

from __future__ import annotations

import os

import pytest

from tests.properties.shared.schedule import STORED

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "30"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))


@pytest.mark.timeout(0)
def test_random_store_and_processes_hold() -> None:
    """MRK-3, NUM-3, NUM-4, RES-1 to RES-3: see `StoredWorld`."""
    STORED.check(range(SEED, SEED + EXAMPLES))
