"""`Faults`: how often the link of a `Pair` fails, and for how long it delays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong on a link: probabilities from 0 to 1, and a delay.

    Attributes:
        cut: the probability, at each write to a connection, that the connection is cut. What was
            on its way there is lost.
        unnoticed: the probability that the server does not notice a cut.
        lose: the probability that a request is lost, and the same for its answer. What is written
            to an open connection arrives in order or is cut, because TCP is below it.
        repeat: the probability that a request arrives twice. Each copy has its own delay.
        delay: the maximum delay of anything on its way, in seconds. Requests can overtake each
            other within it.
    """

    cut: float = 0.02
    unnoticed: float = 0.5
    lose: float = 0.05
    repeat: float = 0.1
    delay: float = 0.1


NO_FAULTS = Faults(cut=0, unnoticed=0, lose=0, repeat=0, delay=0)
