"""`Connection`: one attempt to reach the server, and what became of it."""

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
    """One entry of `Channel.explain`.

    Attributes:
        transport: its name.
        outcome: what became of it.
        reason: why it failed, or was lost.
        seconds: until it was open, or had failed.
    """

    transport: str
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(slots=True, eq=False)
class Connection:
    """The attempt in hand, or the connection that it became.

    Attributes:
        transport: over which it goes.
        started_at: when it was begun.
        until: when it must be open, or be given up.
        slot: in the budget.
        post_slot: that of the POST that was on its way as the connection was left.
        outcome, reason, seconds: see `Attempt`.
        link, adapter: there once the credentials are.
        http: for its requests, where it makes any.
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
        """It is open."""
        self.outcome, self.seconds, self.until = "open", now - self.started_at, inf

    def mark_ended(self, reason: str, now: float) -> None:
        """It could not be opened, or was cut."""
        if self.outcome == "pending":
            self.outcome, self.seconds = "failed", now - self.started_at
        else:
            self.outcome = "lost"
        self.reason = reason

    @property
    def attempt(self) -> Attempt:
        """As the application is told of it."""
        return Attempt(self.transport.value, self.outcome, self.reason, self.seconds)
