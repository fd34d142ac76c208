"""`Link`: one attach over one connection, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from transport.protocol.frames import TransportKind
from transport.protocol.states import AttachState


@dataclass(frozen=True, slots=True)
class PendingPost:
    """What a POST in flight took along: put back where it gets no answer."""

    next: int
    control: list[str]


@dataclass(slots=True, eq=False)
class Link:
    """One attach over one connection."""

    attach: int
    transport: TransportKind
    opening: str
    """Its ``open``."""
    resuming: bool
    acked: int
    """The downlink mark that was last written here."""
    state: AttachState = AttachState.FRESH
    next: int = 1
    """The next uplink number to write here."""
    close_written: bool = False
    control: list[str] = field(default_factory=list)
    """Control frames that wait to be written."""
    post: PendingPost | None = None
    poll: int = 1
    """The number of the poll (POL-1)."""
    polled_at: float | None = None
    """When it left, where it is in flight."""
    failures: int = 0
    """Requests in a row that failed."""
    until: float = inf
    """Silence until then ends the link (LIV-2)."""
