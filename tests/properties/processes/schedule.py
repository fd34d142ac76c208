"""Random schedules of a world of processes: made from a seed, played, and cut down."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol
from unittest import mock

from tests.properties.processes.steps import DELAYS, PAUSES
from tests.properties.processes.world import World
from transport.testing import JumpingEventLoop

Bounds = tuple[tuple[int, int], ...]
"""Those of the arguments of a step."""
Schedule = list[tuple[str, tuple[int, ...]]]
"""Steps with their arguments; the first says how many processes there are, and the seed of what is
random in the world."""

STEPS: dict[str, Bounds] = {
    "come": ((0, 2),),
    "say": ((0, 3), (1, 4), (0, 2), (0, 12)),
    "push": ((0, 3), (1, 4)),
    "publish": ((0, 3), (0, 2), (1, 3)),
    "deliver": ((0, 3), (0, 3)),
    "dismiss": ((0, 3), (0, 3)),
    "cut": ((0, 3), (0, 1)),
    "move": ((0, 3), (0, 2)),
    "wait": ((0, len(PAUSES) - 1),),
    "turn": ((1, 8),),
    "cut_pipes": ((0, 3), (0, 3)),
    "slow": ((0, len(DELAYS) - 1),),
    "kill": ((0, 3),),
    "stop": ((0, 3),),
    "go_on": (),
    "join": (),
    "shut_down": ((0, 3),),
}
"""Each step of a `World`, and the bounds of its arguments."""

WEIGHTS = {"say": 6, "push": 3, "publish": 3, "wait": 6, "turn": 4, "cut": 2}
"""How often a step occurs; once if it is not named."""
ESSENTIAL = frozenset(("say", "wait", "turn", "go_on"))
OMISSION = 0.4
"""The probability that another step is left out of a schedule altogether. A schedule in which
nothing is killed gets further with the steps that are left."""
LENGTH = 50
WITHIN = 3600.0
"""Seconds of the world's clock in which a schedule has ended."""


class Playable(Protocol):
    """A world in which a schedule is played."""

    async def play(self, count: int, steps: Schedule) -> None:
        """Make the steps with some processes, then let everything come to rest."""
        ...


@dataclass(frozen=True)
class Machine:
    """Makes schedules of one kind from seeds, plays them, and cuts down those that fail.

    Attributes:
        world: makes a world, from the source of everything random in it.
        steps: each step of the world, and the bounds of its arguments.
        weights: how often a step occurs; once if it is not named.
        essential: the steps that are in every schedule.
        expected: the log events of level ERROR that the faults of the world may cause.
    """

    world: Callable[[Random], Playable]
    steps: Mapping[str, Bounds]
    weights: Mapping[str, int] = field(default_factory=dict)
    essential: frozenset[str] = ESSENTIAL
    expected: tuple[str, ...] = ()

    def schedule(self, seed: int) -> Schedule:
        """Return the schedule of a seed."""
        random = Random(seed)
        names = [n for n in self.steps if n in self.essential or random.random() > OMISSION]
        weights = [self.weights.get(name, 1) for name in names]
        steps: Schedule = [("begin", (random.randint(2, 3), seed))]
        steps += [("come", (random.randint(0, 2),)) for _ in range(random.randint(1, 3))]
        for name in random.choices(names, weights, k=LENGTH):
            bounds = self.steps[name]
            steps.append((name, tuple(random.randint(low, high) for low, high in bounds)))
        return steps

    def play(self, steps: Schedule) -> None:
        """Make the steps of a schedule in a new world, and let it come to rest.

        Raises:
            Exception: something did not hold.
        """
        (_, (count, seed)), *others = steps
        source = Random(seed)
        before = random.getstate()
        random.seed(seed)
        try:
            with (
                mock.patch.object(secrets, "token_bytes", lambda n=32: source.randbytes(n)),
                mock.patch.object(secrets, "token_hex", lambda n=32: source.randbytes(n).hex()),
                mock.patch.object(secrets, "token_urlsafe", lambda n=32: _text(source, n)),
                asyncio.Runner(loop_factory=JumpingEventLoop) as runner,
            ):
                runner.run(_play(self.world, source, count, others, self.expected))
        finally:
            random.setstate(before)

    def failure(self, steps: Schedule) -> Exception | None:
        """Play a schedule. Return how it failed, None if it did not."""
        try:
            self.play(steps)
        except Exception as error:  # noqa: BLE001 - it may fail in any way
            return error
        return None

    def minimise(self, steps: Schedule) -> Schedule:
        """Return as few steps of a failing schedule as still fail."""
        size = len(steps) // 2
        while size:
            at = 1
            while at < len(steps):
                fewer = steps[:at] + steps[at + size :]
                if self.failure(fewer) is not None:
                    steps = fewer
                else:
                    at += size
            size //= 2
        return steps

    def check(self, seeds: Iterable[int]) -> None:
        """Play the schedules of seeds. One that fails is cut down, and raises what it fails by.

        Raises:
            Exception: a schedule failed; a note has its seed, and the steps for `play`.
        """
        for seed in seeds:
            steps = self.schedule(seed)
            if self.failure(steps) is not None:
                steps = self.minimise(steps)
                error = self.failure(steps)
                assert error is not None
                error.add_note(f"seed {seed}, cut down to: play({steps})")
                raise error

    def detects(self, seeds: Iterable[int]) -> bool:
        """Return whether the schedule of one of these seeds fails."""
        return any(self.failure(self.schedule(seed)) is not None for seed in seeds)


PROCESSES = Machine(World, STEPS, WEIGHTS)
"""The machine of processes whose sessions end with them."""


def _text(source: Random, size: int) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(source.choices(letters, k=-(-size * 4 // 3)))


async def _play(
    make_world: Callable[[Random], Playable],
    source: Random,
    count: int,
    steps: Schedule,
    expected: tuple[str, ...],
) -> None:
    failed: list[str] = []

    class Failures(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) not in expected:
                failed.append(logging.Formatter().format(record))

    def report(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        failed.append(f"{context['message']}: {context.get('exception')!r}")

    handler, logger = Failures(logging.ERROR), logging.getLogger("transport")
    logger.addHandler(handler)
    asyncio.get_running_loop().set_exception_handler(report)
    try:
        async with asyncio.timeout(WITHIN):
            await make_world(source).play(count, steps)
    finally:
        logger.removeHandler(handler)
    assert not failed, failed
