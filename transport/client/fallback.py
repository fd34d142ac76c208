"""Which transport to try next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transport.protocol.frames import TransportKind


@dataclass(frozen=True, slots=True)
class LastWorking:
    """The transport that worked last, and since when it did. It goes stale."""

    transport: TransportKind
    since: float


def choose(
    allowed: Sequence[TransportKind],
    tried: Sequence[TransportKind],
    last_working: LastWorking | None,
    now: float,
    fresh_for: float,
) -> TransportKind | None:
    """The next of ``allowed`` (in its order) that this round has not tried, what worked last first.

    Unless that was learnt more than ``fresh_for`` seconds ago: then the better ones get another
    chance.

    Returns:
        None where all failed. That is an outage, no verdict against any: wait, then start anew.
    """
    left = [transport for transport in allowed if transport not in tried]
    if (
        last_working is not None
        and last_working.transport in left
        and now < last_working.since + fresh_for
    ):
        return last_working.transport
    return left[0] if left else None
