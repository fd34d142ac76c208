"""Random schedules of a session that a store keeps: made from a seed, played, and cut down."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from tests.properties.stored.world import PAUSES, World

Schedule = list[tuple[str, tuple[int, ...]]]
"""Steps with their arguments."""

STEPS: dict[str, tuple[tuple[int, int], ...]] = {
    "say": ((1, 4),),
    "come_back": ((0, 5),),
    "cut": ((0, 1),),
    "notice": (),
    "take": ((1, 4),),
    "reply": ((1, 2),),
    "flush": (),
    "publish": ((1, 2),),
    "close": ((0, 1),),
    "reset": (),
    "kill": ((0, 5),),
    "succeed": ((0, 5),),
    "stop": ((0, 5),),
    "go_on": (),
    "shut_down": (),
    "pause_store": (),
    "resume_store": (),
    "forget": (),
    "go_back": ((0, 6),),
    "replace_under_stale_home": ((0, 5), (1, 6)),
    "lose_last_home": ((0, 5), (1, 6), (0, 2)),
    "stall": ((0, 5),),
    "late": ((0, 9),),
    "serve_one": ((0, 9),),
    "process_turn": ((0, 5),),
    "turn": ((1, 2),),
    "wait": ((0, len(PAUSES) - 1),),
}
"""Each step of a `World`, and the bounds of its arguments."""

ENDINGS = ("close", "reset")
"""The steps that end the session: they come late, as not much follows."""
WEIGHTS = {
    "say": 3,
    "take": 5,
    "reply": 3,
    "publish": 2,
    "come_back": 3,
    "process_turn": 3,
    "serve_one": 3,
    "turn": 4,
    "succeed": 2,
}
"""How often a step occurs, besides what varies; once if it is not named."""
RARE = {
    "forget": 0.85,
    "go_back": 0.85,
    "replace_under_stale_home": 0.85,
    "lose_last_home": 0.85,
    "flush": 0.5,
    "shut_down": 0.6,
    "pause_store": 0.5,
}
"""How probably a step is left out of a schedule altogether, as it allows what is else checked;
`OMISSION` for others."""
OMISSION = 0.3
ESSENTIAL = frozenset(("say", "take", "come_back", "turn", "wait", "resume_store", "go_on"))
LENGTH = 50
TAIL = 15


def schedule(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    random = Random(seed)
    names = [
        name
        for name in STEPS
        if name not in ENDINGS
        and (name in ESSENTIAL or random.random() >= RARE.get(name, OMISSION))
    ]
    weights = [WEIGHTS.get(name, 1) * random.choice((1, 2, 4)) for name in names]
    chosen = random.choices(names, weights, k=LENGTH + TAIL)
    if random.random() < 0.5:
        chosen[random.randrange(LENGTH, LENGTH + TAIL)] = random.choice(ENDINGS)
    return [
        (name, tuple(random.randint(low, high) for low, high in STEPS[name])) for name in chosen
    ]


def play(steps: Schedule) -> World:
    """Make the steps of a schedule in a new world, and let it come to rest.

    Raises:
        Exception: something did not hold.
    """
    world = World()
    for name, arguments in steps:
        world.do(name, arguments)
    world.rest()
    return world


def failure(steps: Schedule) -> Exception | None:
    """Play a schedule. Return how it failed, None if it did not."""
    try:
        play(steps)
    except Exception as error:  # noqa: BLE001 - it may fail in any way
        return error
    return None


def minimise(steps: Schedule) -> Schedule:
    """Return as few steps of a failing schedule as still fail."""
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if failure(fewer) is not None:
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def check_schedules(seeds: Iterable[int]) -> None:
    """Play the schedules of seeds. One that fails is cut down, and raises what it fails by.

    Raises:
        Exception: a schedule failed; a note has its seed, and the steps for `play`.
    """
    for seed in seeds:
        steps = schedule(seed)
        if failure(steps) is not None:
            steps = minimise(steps)
            error = failure(steps)
            assert error is not None
            error.add_note(f"seed {seed}, cut down to: play({steps})")
            raise error
