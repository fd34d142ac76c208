"""How long to wait before the next attempt. Pure: the random number is an argument."""

from __future__ import annotations


def backoff(outage: float, random: float, base: float, maximum: float) -> float:
    """Seconds to wait, after ``outage`` seconds of failures.

    Full jitter, in the first retry too: else all clients would come back to a restarted server in
    the same moment. So the waits grow like the outage, and none is longer than it was: who is
    unlucky is not away for long after a short one.

    Args:
        outage: seconds since nothing has worked for long.
        random: a random number from 0 to 1.
        base: what the first retry waits at most.
        maximum: the bound of all.
    """
    return random * min(maximum, base + outage)
