"""The wait before the next attempt. Pure: the random number is an argument."""

from __future__ import annotations


def backoff(outage: float, random: float, base: float, maximum: float) -> float:
    """Return the seconds to wait after an outage.

    Full jitter, even for the first retry, so that clients do not all return to a restarted server
    at the same moment. The delay grows with the outage and hardly exceeds it, so that no client is
    away for long after a short one.

    Args:
        outage: seconds for which nothing has worked steadily.
        random: a random number from 0 to 1.
        base: the longest wait of the first retry.
        maximum: the longest wait of any retry.
    """
    return random * min(maximum, base + outage)
