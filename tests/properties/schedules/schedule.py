"""Random schedules: make them from a seed, play them, and cut a failing one down."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.profile import ESSENTIAL, MACHINE, STEPS, Profile
from tests.properties.schedules.python_client import PythonClient
from tests.properties.schedules.world import World

Schedule = list[tuple[str, tuple[int, ...]]]
"""Steps with their arguments; the first is how a world begins."""


def schedule(seed: int, profile: Profile = MACHINE) -> Schedule:
    """Return the schedule of a seed."""
    random = Random(seed)
    names = [
        name for name in profile.steps if name in ESSENTIAL or random.random() > profile.omission
    ]
    weights = [random.choice((1, 2, 4)) for _ in names]
    steps: Schedule = [("begin", (random.randrange(6),))]
    for name in random.choices(names, weights, k=profile.length):
        steps.append((name, tuple(random.randint(low, high) for low, high in STEPS[name])))
    return steps


def play(
    steps: Schedule, profile: Profile = MACHINE, new_core: ClientFactory = PythonClient.new
) -> None:
    """Make the steps of a schedule in a new world, and heal it at the end.

    Raises:
        Exception: something did not hold, or a core failed.
    """
    world = World(profile, new_core)
    (_, beginning), *others = steps
    world.begin(*beginning)
    for name, arguments in others:
        world.do(name, arguments)
    world.heal()


def failure(
    steps: Schedule, profile: Profile = MACHINE, new_core: ClientFactory = PythonClient.new
) -> Exception | None:
    """Play a schedule. Return how it failed, None if it did not."""
    try:
        play(steps, profile, new_core)
    except Exception as error:  # noqa: BLE001 - a core may fail in any way
        return error
    return None


def minimise(
    steps: Schedule, profile: Profile = MACHINE, new_core: ClientFactory = PythonClient.new
) -> Schedule:
    """Return as few steps of a failing schedule as still fail."""
    size = len(steps) // 2
    while size:
        at = 1
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if failure(fewer, profile, new_core) is not None:
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def check_schedules(
    seeds: Iterable[int], profile: Profile = MACHINE, new_core: ClientFactory = PythonClient.new
) -> None:
    """Play the schedules of seeds. One that fails is cut down, and raises what it fails by.

    Raises:
        Exception: a schedule failed; a note has its seed, and the steps for `play`.
    """
    for seed in seeds:
        steps = schedule(seed, profile)
        if failure(steps, profile, new_core) is not None:
            steps = minimise(steps, profile, new_core)
            error = failure(steps, profile, new_core)
            assert error is not None
            error.add_note(f"seed {seed}, cut down to: play({steps})")
            raise error
