"""`MemoryStore`: the store of a single process, whose sessions end with it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record


class MemoryStore:
    """Keeps records in this process's memory.

    After a restart, and in a second worker process, there is another `MemoryStore`: clients whose
    sessions it does not have get a ``reset`` with reason ``restarted``. The epoch is the time of
    creation and a random part.

    Args:
        tombstones: the largest number of tombstones, of about 1 KiB each. Beyond it the oldest are
            evicted, and clients that ask for their sessions get a ``reset`` with reason
            ``unknown``.
    """

    shared = False

    def __init__(self, *, tombstones: int = 100_000) -> None:
        self._max_tombstones = tombstones
        self.epoch = f"{time.time_ns() // 1000:016x}{secrets.token_urlsafe(6)}"
        self._records: dict[str, Record] = {}
        # In order of expiry, so that a sweep looks only at what has expired.
        self._nonces: dict[tuple[str, str], tuple[float, str]] = {}
        self._tombstone_expiry: dict[str, float] = {}

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        """See `Store.open`."""
        key = (record.subject, nonce)
        known = self._nonces.get(key)
        if known is not None and known[0] > now and known[1] in self._records:
            return self._records[known[1]]
        if known is not None:
            del self._nonces[key]
        self._nonces[key] = (now + keep, record.id)
        if record.id in self._records:
            return self._records[record.id]
        self._records[record.id] = record
        return record

    async def find(self, session_id: str, now: float) -> Record | None:
        """See `Store.find`."""
        if self._tombstone_expiry.get(session_id, now + 1) <= now:
            return None
        return self._records.get(session_id)

    async def save_tombstone(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        """See `Store.save_tombstone`."""
        record = self._records.get(session_id)
        if record is not None:
            record.tombstone = tombstone
            self._tombstone_expiry.pop(session_id, None)
            self._tombstone_expiry[session_id] = until
            while len(self._tombstone_expiry) > self._max_tombstones:
                self._evict_oldest_tombstone()

    async def forget(self, session_id: str) -> None:
        """See `Store.forget`."""
        self._records.pop(session_id, None)

    async def sweep(self, now: float) -> None:
        """See `Store.sweep`."""
        while self._nonces:
            key = next(iter(self._nonces))
            until, session_id = self._nonces[key]
            if until > now:
                break
            del self._nonces[key]
            record = self._records.get(session_id)
            if record is not None and not record.begun and record.tombstone is None:
                del self._records[session_id]  # its open was cancelled
        while self._tombstone_expiry and next(iter(self._tombstone_expiry.values())) <= now:
            self._evict_oldest_tombstone()

    def _evict_oldest_tombstone(self) -> None:
        """Remove the tombstone that expires first, with its record."""
        session_id = next(iter(self._tombstone_expiry))
        del self._tombstone_expiry[session_id]
        self._records.pop(session_id, None)


class WorkerStore(MemoryStore):
    """The store of one of several workers, which pass on what belongs to each other's sessions.

    Args:
        worker: the name of the worker, which begins the ids of its sessions.
    """

    shared = True

    def __init__(self, worker: str) -> None:
        super().__init__()
        self.epoch = worker

    def ended(self, now: float) -> Iterator[tuple[Record, float]]:
        """Return the records of its own sessions that have ended, and until when each is kept.

        Those that are kept longest come first.
        """
        for session_id, until in reversed(self._tombstone_expiry.items()):
            record = self._records.get(session_id)
            if until > now and record is not None and session_id.startswith(self.epoch):
                yield record, until

    async def inherit(self, record: Record, tombstone: Tombstone, until: float) -> None:
        """Keep until ``until`` how a session of a worker that is gone has ended."""
        self._records.setdefault(record.id, record)
        await self.save_tombstone(record.id, tombstone, until)
