"""`Faults`: how often the link of a `Pair` fails, and for how long it delays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults that a link injects: probabilities from 0 to 1, and a maximum delay.

    Attributes:
        cut: the probability that a write cuts the connection, which loses everything in flight on
            it.
        unnoticed: the probability that the server does not notice a cut.
        lose: the probability that a request is lost, and likewise its response. On an open
            connection nothing is lost without a cut, as over TCP.
        repeat: the probability that a request is delivered twice, each copy with its own delay.
        delay: the maximum one-way delay, in seconds, which can reorder requests.
    """

    cut: float = 0.02
    unnoticed: float = 0.5
    lose: float = 0.05
    repeat: float = 0.1
    delay: float = 0.1


NO_FAULTS = Faults(cut=0, unnoticed=0, lose=0, repeat=0, delay=0)
