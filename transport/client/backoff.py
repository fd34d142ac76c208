"""How long to wait before the next attempt. Pure: the random number is an argument."""

from __future__ import annotations


def backoff(failures: int, chance: float, base: float, most: float) -> float:
    """Seconds to wait after ``failures`` failures in a row.

    Full jitter, in the first retry too: else all clients would come back to a restarted server in
    the same moment.

    Args:
        failures: from 0.
        chance: a random number from 0 to 1.
        base: what the first retry waits at most; doubled by each failure.
        most: the bound of that.
    """
    # Past 2^64 the bound has long been reached, and a float would end.
    return chance * min(most, base * 2.0 ** min(failures, 64))
