"""`Times`: how long a process waits for the server of its store, and how long it is trusted."""

from __future__ import annotations

from msgspec import Struct


class Times(Struct, frozen=True, kw_only=True):
    """Times in seconds. All processes of a store must have the same.

    Attributes:
        answer: for an answer of the server, a connection included: half of a lease.
        lease: how long a lease lasts after its last renewal: twice ``answer``, so that a process
            that only lost a connection keeps it.
        renewal: between renewals of a lease.
        grace: after a loss of data: until every home that lives has noticed it and written its
            sessions again. Above ``lease``.
        unreachable: without an answer, until the clients should look for another process.
        look: between two looks at a process that seems to be gone: two renewals of its lease.
        slow: after which a write is slow.
    """

    answer: float = 3.0
    lease: float = 6.0
    renewal: float = 0.5
    grace: float = 8.0
    unreachable: float = 15.0
    look: float = 1.0
    slow: float = 1.0

    def scaled(self, factor: float) -> Times:
        """Return these times, each multiplied."""
        return Times(**{name: factor * getattr(self, name) for name in self.__struct_fields__})
