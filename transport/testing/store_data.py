"""`Data`: what the server of a `JournaledStore` keeps, and how commands change it.

What becomes of a session is in `transport.protocol.journal`; here is the rest: what expires when,
openings and leases. Times are seconds of the server's clock.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from transport.limits import Limits
from transport.protocol.journal import (
    Claim,
    ClaimRefusal,
    End,
    Heal,
    Image,
    Refusal,
    Release,
    Step,
    Write,
    apply,
    claim,
)
from transport.stores.journaled import GRACE, Ended, Found, Grace, Located, Made
from transport.stores.names import shorten
from transport.stores.remote.times import Times

TIMES = Times()

MARGIN = 60.0
"""Seconds that a record is kept beyond the life of its session and of its tombstone."""


class Data(Struct, kw_only=True):
    """Everything that a server keeps.

    Attributes:
        sessions: by id: the session, and when it expires.
        openings: by opening: the id of the session, and when it expires.
        leases: by process: the count of its last renewal, and when it ends.
        birth: the run in which the data began, and when; None if that is not known.
        secret: the key of the tokens, or None.
    """

    sessions: dict[str, tuple[Image, float]] = {}
    openings: dict[str, tuple[str, float]] = {}
    leases: dict[str, tuple[int, float]] = {}
    birth: tuple[str, float] | None = None
    secret: bytes | None = None

    def copy(self) -> Data:
        """Return a copy, which does not change with this."""
        return Data(
            sessions=dict(self.sessions),
            openings=dict(self.openings),
            leases=dict(self.leases),
            birth=self.birth,
            secret=self.secret,
        )

    def image(self, session_id: str, now: float) -> Image | None:
        """Return a session."""
        image, until = self.sessions.get(session_id, (None, 0.0))
        return image if until > now else None

    def locate(self, session_id: str, now: float) -> Located | None:
        """Return what is needed to decide about a session."""
        image = self.image(session_id, now)
        if image is None:
            return None
        return Located(
            home=image.home,
            fence=image.fence,
            subject=shorten(image.subject),
            token=image.token,
            hub=image.hub,
            closing=image.closing,
            tombstone=image.tombstone,
        )

    def write(self, session_id: str, write: Write, limits: Limits, now: float) -> Refusal | None:
        """Write a session; see `apply`."""
        before = self.image(session_id, now)
        after = apply(before, write, _milliseconds(now))
        if isinstance(after, Refusal):
            return after
        if after is not before:
            until = self.sessions[session_id][1] if before is not None else 0.0
            match write.change:
                case Step(touch=None) | Release():
                    pass
                case Step() | Heal():
                    until = now + _life(limits)
                case End():
                    until = now + limits.tombstone
            self.sessions[session_id] = after, until
        return None

    def open(
        self, opening: str, session_id: str, image: Image, limits: Limits, run: str, now: float
    ) -> Made | Found | Ended:
        """Store a new session, unless the opening has one."""
        known, until = self.openings.get(opening, ("", 0.0))
        if until <= now or self.image(known, now) is None:
            known = session_id
        before = self.image(known, now)
        if before is None:
            seen = _milliseconds(now)
            made = replace(image, born=seen * 1000, seen=seen, run=run, epoch=run, version=0)
            self.openings[opening] = session_id, now + limits.nonce
            self.sessions[session_id] = made, now + _life(limits)
            return Made(made)
        if before.tombstone:
            return Ended(known, before.tombstone)
        return Found(known, before.home, before.fence)

    def claim(
        self, session_id: str, claimed: Claim, limits: Limits, now: float
    ) -> Image | ClaimRefusal | Literal[Grace.GRACE]:
        """Give a session to another home; see `transport.protocol.journal.claim`."""
        after = claim(self.image(session_id, now), claimed, _milliseconds(now))
        if after in (ClaimRefusal.ENDED, ClaimRefusal.MOVED):
            return after
        if self.birth is None or self.birth[0] != claimed.run or now < self.birth[1] + TIMES.grace:
            return GRACE
        if isinstance(after, ClaimRefusal):
            return after
        self.sessions[session_id] = after, now + _life(limits)
        return replace(after, subject=shorten(after.subject))

    def renew(self, name: str, count: int, now: float) -> bool:
        """Renew a lease, and return whether there was one."""
        had_lease = self.lease(name, now) is not None
        self.leases[name] = count, now + TIMES.lease
        return had_lease

    def lease(self, name: str, now: float) -> bytes | None:
        """Return what the lease of a process contains; None if it has none."""
        count, until = self.leases.get(name, (0, 0.0))
        return str(count).encode() if until > now else None


def _life(limits: Limits) -> float:
    """Return the seconds that a session is kept after a touch."""
    return limits.ttl + limits.tombstone + MARGIN


def _milliseconds(now: float) -> int:
    return int(now * 1000)
