"""`Link`: one attach over one connection, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from transport.protocol.frames import MAX_NUMBER, TransportKind
from transport.protocol.states import AttachState


@dataclass(frozen=True, slots=True)
class PendingPost:
    """What a POST in flight carries, to be restored if it gets no answer."""

    next: int
    control: list[str]


@dataclass(slots=True, eq=False)
class Link:
    """One attach over one connection. Data only: the session and its parts change it."""

    attach: int
    transport: TransportKind
    opening: str
    """Its encoded ``open``."""
    resuming: bool
    """Whether the ``open`` asks for an existing session."""
    acked: int
    """The mark of the downlink that was last written here."""
    state: AttachState = AttachState.FRESH
    next: int = MAX_NUMBER
    """The next uplink number to write here. Until it is open, at most that: the lowest number that
    was refused since its ``open`` was made, which its ``opened`` may count as received."""
    close_written: bool = False
    """Whether our ``close`` was written here."""
    leave_written: bool = False
    """Whether our ``leave`` was written here."""
    control: list[str] = field(default_factory=list)
    """Control frames to write."""
    post: PendingPost | None = None
    """The POST in flight, if there is one."""
    poll: int = 1
    """The number of the next poll, or of the one in flight (POL-1)."""
    polled_at: float | None = None
    """When the poll in flight was sent; None if no poll is in flight."""
    failed_posts: int = 0
    """Consecutive POSTs that failed."""
    failed_polls: int = 0
    """Consecutive polls that failed."""
    until: float = inf
    """The link ends if nothing is received before then (LIV-2)."""
