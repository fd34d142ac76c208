"""The store of a single process: sessions end with it."""

from __future__ import annotations

import secrets
import time

from transport.protocol.server.tombstone import Tombstone
from transport.stores.records import Record


class MemoryStore:
    """Keeps records in this process's memory.

    A restart, or a second worker process, is another `MemoryStore`: its clients are told by a
    ``reset`` with reason ``restarted``. Its epoch is the time of its making and some chance.

    Args:
        tombstones: ends of sessions that are remembered at most, at about 1 KiB each: where clients
            come and go faster than `Limits.tombstone` passes, the oldest go first, and who asks for
            them is told ``unknown``.
    """

    shared = False

    def __init__(self, *, tombstones: int = 100_000) -> None:
        self._most = tombstones
        self.epoch = f"{time.time_ns() // 1000:016x}{secrets.token_urlsafe(6)}"
        self._records: dict[str, Record] = {}
        # In the order of their time, so that sweeping looks at what is due only.
        self._nonces: dict[tuple[str, str], tuple[float, str]] = {}
        self._graves: dict[str, float] = {}

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        """See `Store.open`."""
        key = (record.subject, nonce)
        known = self._nonces.get(key)
        if known is not None and known[0] > now and known[1] in self._records:
            return self._records[known[1]]
        self._nonces.pop(key, None)
        self._nonces[key] = (now + keep, record.id)
        self._records[record.id] = record
        return record

    async def find(self, session_id: str, now: float) -> Record | None:
        """See `Store.find`."""
        if self._graves.get(session_id, now + 1) <= now:
            return None
        return self._records.get(session_id)

    async def bury(self, session_id: str, tombstone: Tombstone, until: float) -> None:
        """See `Store.bury`."""
        record = self._records.get(session_id)
        if record is not None:
            record.tombstone = tombstone
            self._graves.pop(session_id, None)
            self._graves[session_id] = until
            while len(self._graves) > self._most:
                self._dig_up()

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
            if record is not None and not record.hashes and record.tombstone is None:
                del self._records[session_id]  # its opening was cut off: nobody has its token
        while self._graves and next(iter(self._graves.values())) <= now:
            self._dig_up()

    def _dig_up(self) -> None:
        """Forget the oldest end."""
        session_id = next(iter(self._graves))
        del self._graves[session_id]
        self._records.pop(session_id, None)
