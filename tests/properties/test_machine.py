"""The machine: worlds in whatever order of steps Hypothesis finds, and in random schedules.

A random schedule costs a tenth of one that Hypothesis makes, so a campaign (`make campaign`) plays
many more of them. The environment says how many: ``MACHINE_EXAMPLES`` with each client, from
``MACHINE_SEED`` on. A random schedule that fails is cut down to the steps that it needs.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.profile import MACHINE, SHORT, STEPS
from tests.properties.schedules.schedule import check_schedules
from tests.properties.schedules.world import World

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "300"))
HYPOTHESIS_EXAMPLES = max(1, min(200, EXAMPLES // 5))
"""How many schedules Hypothesis makes: 60 by default, 200 in a campaign."""
SEED = int(os.environ.get("MACHINE_SEED", "0"))


class Machine(RuleBasedStateMachine):
    """A state machine whose rules are the steps of a world.

    Args:
        new_core: makes the first client.
    """

    def __init__(self, new_core: ClientFactory) -> None:
        super().__init__()
        self.world = World(new_core=new_core)

    @initialize(transport=st.integers(0, 5))
    def begin(self, transport: int) -> None:
        self.world.begin(transport)

    def teardown(self) -> None:
        self.world.heal()


def _rule(name: str) -> object:
    def step(self: Machine, arguments: tuple[int, ...]) -> None:
        self.world.do(name, arguments)

    step.__name__ = name
    bounds = [st.integers(low, high) for low, high in STEPS[name]]
    return rule(arguments=st.tuples(*bounds))(step)


for _name in MACHINE.steps:
    setattr(Machine, _name, _rule(_name))

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=HYPOTHESIS_EXAMPLES,
    stateful_step_count=60,
    phases=[Phase.generate],  # `minimise` is faster
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0)
def test_machine_holds(new_core: ClientFactory) -> None:
    """The promises of `World`, in whatever order of steps Hypothesis finds."""

    class MachineOfCore(Machine):
        def __init__(self) -> None:
            super().__init__(new_core)

    run_state_machine_as_test(MachineOfCore, settings=SETTINGS)


@pytest.mark.timeout(0)
def test_random_schedules_hold(new_core: ClientFactory) -> None:
    """NUM-3, NUM-4, RES-1 to RES-3, MRK-3, ATT-3 to ATT-7: see `World`."""
    check_schedules(range(SEED, SEED + EXAMPLES), new_core=new_core)


@pytest.mark.timeout(0)
def test_short_schedules_come_to_rest(new_core: ClientFactory) -> None:
    """MRK-6, SND-1, ATT-3: nobody waits for ever for what the other side has."""
    check_schedules(range(SEED, SEED + EXAMPLES), SHORT, new_core)
