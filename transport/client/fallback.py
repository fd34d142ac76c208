"""The choice of the next transport. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transport.protocol.frames import TransportKind


@dataclass(frozen=True, slots=True)
class LastWorking:
    """The transport that worked last, and since when. The knowledge expires."""

    transport: TransportKind
    since: float


def choose(
    allowed: Sequence[TransportKind],
    tried: Sequence[TransportKind],
    last_working: LastWorking | None,
    now: float,
    fresh_for: float,
) -> TransportKind | None:
    """Return the next transport of this round.

    That is the one that worked last, for ``fresh_for`` seconds; after that the better ones get
    another chance. Otherwise it is the first of ``allowed`` that was not ``tried``.

    Returns:
        None if all have failed. That is an outage, which says nothing against any transport: wait,
        then begin a new round.
    """
    left = [transport for transport in allowed if transport not in tried]
    if (
        last_working is not None
        and last_working.transport in left
        and now < last_working.since + fresh_for
    ):
        return last_working.transport
    return left[0] if left else None
