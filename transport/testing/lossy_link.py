"""`LossyLink`: the clock of a `Pair`, its agenda of future events, and all its randomness.

A link is a discrete-event simulation. Anything that happens later is an action on the agenda, at an
instant of the link's own clock. `run` takes the actions in order of time (those of the same instant
in the order in which they were added), so nothing waits and no task is needed.

All randomness comes from one generator with one seed. The sequence of draws depends on nothing but
the sequence of calls, so a test that makes the same calls gets the same run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from transport.testing.faults import Faults

T = TypeVar("T")
Action = Callable[[], None]

MAX_ACTIONS = 100_000
"""Actions that may run at one instant."""


@dataclass(slots=True, eq=False)
class Lane:
    """One direction of an open connection, in which nothing overtakes anything."""

    last_arrival: float = 0.0
    """When the last write arrives. No later write arrives earlier."""


class LossyLink:
    """A link that cuts, loses, repeats, delays and reorders; the same seed gives the same run.

    Args:
        seed: the seed of the random generator.
        faults: the faults to inject.

    Attributes:
        now: seconds since the link was made.
        faults: the faults to inject from now on; may be replaced at any time.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.now = 0.0
        self.faults = faults
        self._random = random.Random(seed)
        self._agenda: list[tuple[float, int, Action]] = []
        self._order = count()

    # Time

    def call_at(self, when: float, action: Action) -> None:
        """Schedule an action for an instant of this clock."""
        heappush(self._agenda, (when, next(self._order), action))

    def run(self, until: float, after_each: Action) -> None:
        """Advance the clock to ``until``; call ``after_each`` after each action on the way.

        Raises:
            RuntimeError: the clock cannot advance, as actions add actions for the same instant.
        """
        ran = 0
        while self._agenda and self._agenda[0][0] <= until:
            when, _, action = heappop(self._agenda)
            ran = ran + 1 if when <= self.now else 0
            if ran > MAX_ACTIONS:
                raise RuntimeError(
                    f"the clock stands at {self.now} s after {ran} actions; the next is {action!r}"
                )
            self.now = max(self.now, when)
            action()
            after_each()
        self.now = until

    # Delivery

    def arrival(self, lane: Lane) -> float:
        """Return when something that is written to this lane now will arrive."""
        lane.last_arrival = max(lane.last_arrival, self.now + self._delay())
        return lane.last_arrival

    def send_request(self, action: Action) -> None:
        """Let a request arrive once, twice or never, each time with its own delay."""
        for _ in range(1 + self._happens(self.faults.repeat)):
            self.send_once(action)

    def send_once(self, action: Action) -> None:
        """Let one copy of a request, or its answer, arrive after a delay, or never."""
        if not self._happens(self.faults.lose):
            self.call_at(self.now + self._delay(), action)

    # Chance

    def cuts(self) -> bool:
        """Decide whether a write cuts its connection."""
        return self._happens(self.faults.cut)

    def hides_cut(self) -> bool:
        """Decide whether the server fails to notice a cut."""
        return self._happens(self.faults.unnoticed)

    def pause(self, maximum: float) -> float:
        """Return a random pause of at most ``maximum`` seconds."""
        return self._random.uniform(0, maximum)

    def choose(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self._random.choice(choices)

    def nonce(self) -> str:
        """Return 128 random bits, in hexadecimal."""
        return f"{self._random.getrandbits(128):032x}"

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _delay(self) -> float:
        return self._random.uniform(0, self.faults.delay)
