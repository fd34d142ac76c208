"""`Store`: finds sessions by id, by the nonce of their opening, and after their end."""

from __future__ import annotations

from typing import Protocol

from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record


class Store(Protocol):
    """The interface of a store. ``now`` is the seconds of a monotonic clock.

    Attributes:
        epoch: identifies this incarnation of the stored data (EPO-1). Later incarnations sort
            higher, so that another running process can be told from a predecessor.
        shared: whether other processes can find the sessions of this one.
    """

    epoch: str
    shared: bool

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        """Store a new session, once for each nonce of its subject (OPN-4).

        Returns:
            ``record``, or the one that was stored for the same nonce in the last ``keep`` seconds,
            or that has the same id.
        """
        ...

    async def find(self, session_id: str, now: float) -> Record | None:
        """Return the record of a session, or None if it is unknown or its tombstone has expired."""
        ...

    async def save_tombstone(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        """Keep how the session ended until ``until`` (RES-8); a later tombstone replaces it."""
        ...

    async def forget(self, session_id: str) -> None:
        """Remove a session that was not opened after all."""
        ...

    async def sweep(self, now: float) -> None:
        """Remove what has expired."""
        ...
