"""`Connection`: one attempt to reach the server, and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

import httpx

from transport.client.adapters.ports import Adapter
from transport.client.budget import Slot
from transport.protocol.client.link import Link
from transport.protocol.frames import TransportKind

Outcome: TypeAlias = Literal["pending", "open", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to connect, as `Channel.explain` reports it.

    Attributes:
        transport: the name of the transport.
        outcome: what became of the attempt.
        reason: why it failed, or was lost.
        seconds: the time until it was open, or had failed.
    """

    transport: str
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(slots=True, eq=False)
class Connection:
    """An attempt, and the connection that it became.

    Attributes:
        transport: its transport.
        started_at: when it was begun.
        until: the deadline by which it must work, or is given up.
        slot: its slot in the retry budget.
        post_slot: the slot of a POST that was in flight when the connection was left.
        outcome, reason, seconds: see `Attempt`.
        link, adapter: set once the credentials are known.
        http: the client for its requests, if it makes any.
    """

    transport: TransportKind
    started_at: float
    until: float
    slot: Slot
    post_slot: Slot | None = None
    outcome: Outcome = "pending"
    reason: str = ""
    seconds: float = 0.0
    link: Link | None = None
    adapter: Adapter | None = None
    http: httpx.AsyncClient | None = None

    def mark_open(self, now: float) -> None:
        """Record that it works."""
        self.outcome, self.seconds, self.until = "open", now - self.started_at, inf

    def mark_ended(self, reason: str, now: float) -> None:
        """Record that it could not be opened, or was lost."""
        if self.outcome == "pending":
            self.outcome, self.seconds = "failed", now - self.started_at
        else:
            self.outcome = "lost"
        self.reason = reason

    @property
    def attempt(self) -> Attempt:
        """What `Channel.explain` reports of it."""
        return Attempt(self.transport.value, self.outcome, self.reason, self.seconds)
