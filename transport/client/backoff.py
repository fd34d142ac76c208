"""How long to wait before the next attempt. Pure: the random number is an argument."""

from __future__ import annotations


def backoff(lasting: float, chance: float, base: float, most: float) -> float:
    """Seconds to wait, after ``lasting`` seconds of failures.

    Full jitter, in the first retry too: else all clients would come back to a restarted server in
    the same moment. So the waits grow like the outage, and none is longer than it was: who is
    unlucky is not away for long after a short one.

    Args:
        lasting: seconds since nothing has worked for long.
        chance: a random number from 0 to 1.
        base: what the first retry waits at most.
        most: the bound of all.
    """
    return chance * min(most, base + lasting)
