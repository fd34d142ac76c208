"""`Census`: which processes live, by what Redis shows of them."""

from __future__ import annotations

from dataclasses import dataclass

LOOK_INTERVAL = 1.0
"""Seconds between two looks."""

GONE_AFTER = 0.9 * LOOK_INTERVAL
"""Seconds in which a process that lives renews its lease; it does so twice a second."""

GRACE = 8.0
"""Seconds, after Redis has perhaps lost its data, in which nobody counts as gone: the processes
that live must notice that first. A lease lasts 6 s."""


@dataclass(frozen=True, slots=True)
class Sign:
    """What a look has shown of a process.

    Attributes:
        name: of the process.
        lease: what its lease contains, which each renewal changes; None if it has none.
        subscribers: how many subscribe to its channel.
    """

    name: str
    lease: bytes | None
    subscribers: int


@dataclass(slots=True)
class _Suspect:
    since: float
    lease: bytes | None


class Census:
    """Judges from one look to the next.

    A process is gone if it has no lease, or nobody subscribes to its channel and its lease is not
    renewed; both at two looks, as Redis may just have lost a lease, or cut a subscription.
    """

    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}
        self._grace_until = float("-inf")

    def distrust(self, now: float) -> None:
        """Learn that Redis may have lost its data."""
        self._grace_until = now + GRACE

    def is_trusted(self, now: float) -> bool:
        """Return whether a process without a lease is gone."""
        return now >= self._grace_until

    def is_gone(self, sign: Sign, began: float, now: float) -> bool:
        """Judge a process.

        Args:
            sign: of it.
            began: when the look began, in seconds.
            now: the seconds of this process's clock.
        """
        suspect = self._suspects.get(sign.name)
        if sign.lease is not None and (
            sign.subscribers or (suspect is not None and suspect.lease != sign.lease)
        ):
            self._suspects.pop(sign.name, None)
            return False
        if suspect is None:
            self._suspects[sign.name] = _Suspect(now, sign.lease)
            return False
        return began - suspect.since >= GONE_AFTER and self.is_trusted(now)

    def forget(self, name: str) -> None:
        """Forget a process."""
        self._suspects.pop(name, None)
