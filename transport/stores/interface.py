"""Where sessions are found: by id, by the nonce of their opening, and after their end."""

from __future__ import annotations

from typing import Protocol

from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record


class Store(Protocol):
    """The interface of a store. ``now`` is in seconds of a monotonic clock.

    Attributes:
        epoch: names the life of what it holds (EPO-1). It sorts behind those of earlier lives, so
            that a process that runs beside this one is told from the one before it.
        shared: whether other processes can find the sessions of this one.
    """

    epoch: str
    shared: bool

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        """Keep a new session, once for each nonce of its subject (OPN-4).

        Returns:
            ``record``, or the one that the same nonce made within ``keep`` seconds.
        """
        ...

    async def find(self, session_id: str, now: float) -> Record | None:
        """The record of a session that lives, or of one that ended within its tombstone's time."""
        ...

    async def bury(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        """Keep only how the session ended, until then (RES-8). Repeated, it replaces."""
        ...

    async def forget(self, session_id: str) -> None:
        """The session was not opened after all."""
        ...

    async def sweep(self, now: float) -> None:
        """Forget what is past its time."""
        ...
