"""`Lives`: how long Redis keeps what nobody writes any more."""

from __future__ import annotations

from msgspec import Struct

from transport.limits import Limits

_SPARE = 60.0
"""Seconds by which what is kept outlives its use. A session is touched twice in it."""


class Lives(Struct, frozen=True):
    """Lives of keys, in milliseconds.

    Attributes:
        record: of a session's record: as long as its client may come back, and then as long as it
            may ask how the session ended.
        log: of its messages: as long as its client may come back.
        tombstone: of what is kept of a session that has ended.
        opening: how long an ``open`` can be repeated.
    """

    record: int
    log: int
    tombstone: int
    opening: int

    @classmethod
    def of(cls, limits: Limits) -> Lives:
        """Return the lives for the sessions of a hub."""
        return cls(
            record=_milliseconds(limits.ttl + limits.tombstone + _SPARE),
            log=_milliseconds(limits.ttl + _SPARE),
            tombstone=_milliseconds(limits.tombstone),
            opening=_milliseconds(limits.nonce),
        )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
