"""The world of `schedules/world.py` in whatever order Hypothesis finds, and in as many more as a
campaign asks for.

`make campaign` plays random schedules without Hypothesis, a tenth of its price for each:
``MACHINE_EXAMPLES`` of them from ``MACHINE_SEED`` on. One that fails is cut down to the steps that
it needs, which its failure names, to be played again by `play`.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.protocol.schedules.world import STEPS, World

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "300"))
SEED = int(os.environ.get("MACHINE_SEED", "0"))
LENGTH = 80
"""Steps of a schedule."""
RARE = 0.3
"""How often a step that is no conversation is left out of a schedule altogether: one in which
nothing expires, or nobody closes, goes further in what is left."""

Schedule = list[tuple[str, tuple[int, ...]]]


class Machine(RuleBasedStateMachine):
    """Its rules are the steps of a world."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(transport=st.integers(0, 5))
    def begin(self, transport: int) -> None:
        self.world.begin(transport)

    def teardown(self) -> None:
        self.world.heal()


def _rule(name: str) -> object:
    def step(self: Machine, arguments: tuple[int, ...]) -> None:
        getattr(self.world, name)(*arguments)

    step.__name__ = name
    bounds = [st.integers(low, high) for low, high in STEPS[name]]
    return rule(arguments=st.tuples(*bounds))(step)


for _name in STEPS:
    setattr(Machine, _name, _rule(_name))

Machine.TestCase.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    stateful_step_count=60,
    phases=[Phase.generate],  # `minimise` is quicker
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase


def schedule(seed: int) -> Schedule:
    """The steps of a seed, the first of which is how it begins."""
    random = Random(seed)
    names = [
        name for name in STEPS if name in ("flow", "converse", "open") or random.random() > RARE
    ]
    weights = [random.choice((1, 2, 4)) for _ in names]
    steps: Schedule = [("begin", (random.randrange(6),))]
    for name in random.choices(names, weights, k=LENGTH):
        steps.append((name, tuple(random.randint(low, high) for low, high in STEPS[name])))
    return steps


def play(steps: Schedule) -> None:
    """A world in which that happens, until it is healed."""
    world = World()
    for name, arguments in steps:
        getattr(world, name)(*arguments)
    world.heal()


def failure(steps: Schedule) -> Exception | None:
    try:
        play(steps)
    except Exception as error:  # noqa: BLE001 - a core may fail in any way
        return error
    return None


def minimise(steps: Schedule) -> Schedule:
    """As few of the steps as still fail."""
    size = len(steps) // 2
    while size:
        at = 1
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if failure(fewer) is not None:
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


@pytest.mark.timeout(0)
def test_random_schedules() -> None:
    for seed in range(SEED, SEED + EXAMPLES):
        steps = schedule(seed)
        if failure(steps) is not None:
            steps = minimise(steps)
            error = failure(steps)
            assert error is not None
            error.add_note(f"seed {seed}, cut down to: play({steps})")
            raise error
