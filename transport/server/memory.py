"""`Memory`: the bound on what all sessions of a hub take together (section 12).

Each session is charged a fixed cost, the headers that it keeps, and a *grant* for its buffers. It
asks for more only once they outgrow the grant, so a message costs one comparison. If the sum
exceeds ``limits.memory``, the largest of the sessions that have grown is reset, until it fits; new
sessions are refused somewhat earlier, so that those that exist have room to work.
"""

from __future__ import annotations

import sys
from typing import Protocol

from transport import codes
from transport.errors import ProtocolError
from transport.telemetry.log import WARNING, log_event

SESSION_COST = 16 * 1024
"""Bytes that a session takes in any case: its objects, the task of its handler, its connection, an
ordinary request (`REQUEST`) and `FIRST_GRANT`."""

FIRST_GRANT = 4 * 1024
"""Bytes of buffers within `SESSION_COST`: most sessions never hold more."""

REQUEST = 4 * 1024
"""Bytes of a kept request within `SESSION_COST`."""

NOT_CHARGED = sys.maxsize
"""The grant of a session that has been removed: it never asks for more."""

HEADER_COST = 130
"""Bytes that the objects of a header take besides its content."""

COPIES_ON_SERVER = 2
"""How often a server that has parsed a WebSocket's request keeps it as well."""

SHARE = 7 / 8
"""The part of the bound for new sessions, and for messages that handlers hold: no reset frees them.
The rest lets small buffers grow while that part is taken."""


class Member(Protocol):
    """A session, as the bound sees it.

    Attributes:
        grant: the bytes that its buffers may take before it asks for more.
    """

    grant: int

    def footprint(self) -> int:
        """Return about how many bytes of memory its buffers take, with what its handler holds."""
        ...

    def reclaimable(self) -> int:
        """Return how many of these a reset would free; 0 once the session has ended."""
        ...

    def free_memory(self) -> None:
        """Reset the session: it takes more than any other that has grown."""
        ...


def opening_cost(headers: int, size: int) -> int:
    """Return the bytes that a session takes from the start.

    Args:
        headers: the number of headers that it keeps of its request.
        size: their bytes, with the path and the query.
    """
    kept = (1 + COPIES_ON_SERVER) * (headers * HEADER_COST + size)
    return SESSION_COST if kept <= REQUEST else SESSION_COST + kept - REQUEST


class Memory:
    """The memory of all sessions of a hub.

    Args:
        limit: in bytes.

    Attributes:
        used: the bytes that are charged now.
        reached: how often the bound refused a session or reset one.
    """

    def __init__(self, limit: int) -> None:
        self.used = 0
        self.reached = 0
        self._limit = limit
        self._grown: set[Member] = set()
        """The sessions whose grant is above the first."""

    def check_room(self, cost: int) -> None:
        """Check that there is room for one more session.

        Raises:
            ProtocolError: ``unavailable``.
        """
        if self.used + cost <= self._limit * SHARE:
            return
        self._report()
        raise ProtocolError(
            codes.UNAVAILABLE,
            f"the server's Limits(memory={self._limit}) has been reached",
            limit="memory",
            retry_in=5.0,
        )

    def add(self, cost: int) -> None:
        """Charge what a new session costs, see `opening_cost`."""
        self.used += cost

    def remove(self, member: Member, cost: int) -> None:
        """Stop charging a session that has ended, for good: its connections may outlive it."""
        self._grant(member, FIRST_GRANT)
        member.grant = NOT_CHARGED
        self.used -= cost

    def grow(self, member: Member, *, handed_over: bool = False) -> None:
        """Grant a session what its buffers take now and some more. Beyond the bound, reset one.

        Args:
            member: the session, which may be reset itself.
            handed_over: whether it grows by a message that is about to be given to its handler. No
                reset can take that back, so the last part of the bound is not for these.
        """
        needed = member.footprint()
        self._grant(member, needed + max(FIRST_GRANT, needed // 4))
        limit = self._limit * SHARE if handed_over else self._limit
        while self.used > limit:
            largest, size = member, needed if handed_over else member.reclaimable()
            for other in self._grown:
                if other is not member and (reclaimable := other.reclaimable()) > size:
                    largest, size = other, reclaimable
            if not size:
                return  # handlers hold all of it
            self._report()
            largest.free_memory()
            self.settle(largest)
            if largest is member:
                return

    def settle(self, member: Member) -> None:
        """Grant a session no more than it needs now."""
        self._grant(member, max(FIRST_GRANT, member.footprint()))

    def sweep(self) -> None:
        """Take back what sessions no longer need."""
        for member in list(self._grown):
            if 2 * member.footprint() < member.grant:
                self.settle(member)

    def _grant(self, member: Member, grant: int) -> None:
        self.used += grant - member.grant
        member.grant = grant
        if grant > FIRST_GRANT:
            self._grown.add(member)
        else:
            self._grown.discard(member)

    def _report(self) -> None:
        self.reached += 1
        if self.reached == 1:
            log_event(
                WARNING,
                "memory_full",
                f"the sessions take the server's Limits(memory={self._limit}): new ones are "
                "refused, and the largest that grow are reset. Raise it if the machine has more, "
                "or lower window_bytes",
                limit="memory",
            )
