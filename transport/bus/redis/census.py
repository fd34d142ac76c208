"""`Census`: which processes live, by what Redis shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LOOK_INTERVAL = 1.0
"""Seconds between two looks."""

GONE_AFTER = 0.9 * LOOK_INTERVAL
"""Seconds in which a process that lives renews its lease; it does so twice a second."""

GRACE = 8.0
"""Seconds, after Redis has perhaps lost its data, in which nobody counts as gone: the processes
that live must notice that first. A lease lasts 6 s."""

FORGOTTEN_AFTER = 60.0
"""Seconds after which it is forgotten that a process seemed to be gone. Its lease has ended."""


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


class Verdict(Enum):
    """What a look says of a process."""

    LIVES = "it shows that it lives"
    UNKNOWN = "it may live"
    GONE = "it is gone"


@dataclass(slots=True)
class _Suspect:
    since: float
    lease: bytes | None


class Census:
    """Judges from one look to the next.

    A process is gone if it has no lease, or nobody subscribes to its channel and its lease is not
    renewed. Redis may just have lost a lease (FLUSHALL) or cut a subscription (CLIENT KILL), but
    not both, unless this process has lost its connection too. So one look is enough if both are
    missing, and else it takes two.
    """

    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}
        self._grace_until = float("-inf")

    def distrust(self, now: float) -> None:
        """Learn that Redis may have lost its data: for `GRACE` nobody is gone."""
        self._grace_until = now + GRACE

    def judge(self, sign: Sign, began: float, now: float) -> Verdict:
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
            return Verdict.LIVES
        if suspect is None:
            suspect = self._suspects[sign.name] = _Suspect(now, sign.lease)
        is_clear = sign.lease is None and not sign.subscribers
        if now < self._grace_until or not (is_clear or began - suspect.since >= GONE_AFTER):
            return Verdict.UNKNOWN
        return Verdict.GONE

    def forget(self, now: float) -> None:
        """Forget suspects that were not asked about for long."""
        self._suspects = {
            name: suspect
            for name, suspect in self._suspects.items()
            if now - suspect.since < FORGOTTEN_AFTER
        }
