"""`Inheritance`: how sessions have ended, of workers that are gone (RES-8).

A session ends with its home. A client that comes back after that asks another process, which must
know how it ended. So a process that stops leaves that in a file. The other processes cannot keep it
for it, because all may be replaced at once; and to stop only when all clients have come back would
delay each stop for as long as the slowest one takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

from msgspec import DecodeError, Raw

from transport.bus.interface import Bus
from transport.bus.text import decode_text, encode_text
from transport.server.relay.messages import (
    EndedSession,
    EndedSessions,
    decode_ended,
    decode_ended_sessions,
    encode_ended,
    encode_ended_sessions,
)
from transport.stores.memory import WorkerStore
from transport.stores.records import Record
from transport.telemetry.log import ERROR, INFO, log_event

MAX_SESSIONS = 10_000
"""Sessions of which the others are told: those that are kept longest. Each takes some 200 bytes of
the file, and 1 KiB in a process that reads it, which takes all in some 50 ms."""

MAX_SUBJECT = 1024
"""Bytes. A session with a longer subject is not passed on, so that the file is small."""


class Inheritance:
    """Passes on how sessions have ended.

    Args:
        bus: to the other processes.
        store: of this process.
        now: returns the seconds of the process's clock.
    """

    def __init__(self, bus: Bus, store: WorkerStore, now: Callable[[], float]) -> None:
        self._bus = bus
        self._store = store
        self._now = now
        self._taken: set[str] = set()
        """The processes whose files were read."""

    def give(self) -> None:
        """Leave it to the others: this process stops."""
        now, unix_time = self._now(), time.time()
        encoded: list[Raw] = []
        last = 0.0
        for record, until in islice(self._store.ended(now), MAX_SESSIONS):
            subject = encode_text(record.subject)
            if record.tombstone is not None and len(subject) <= MAX_SUBJECT:
                kept = unix_time + until - now
                one = EndedSession(record.id, record.hash, subject, record.tombstone, kept)
                encoded.append(Raw(encode_ended(one)))
                last = max(last, kept)
        if not encoded:
            return
        encoded.reverse()
        try:
            self._bus.leave_behind(encode_ended_sessions(EndedSessions(encoded)), last)
        except OSError:
            log_event(
                ERROR,
                "fates_lost",
                "this worker could not write how its sessions have ended, so clients that come "
                "back later are told that it was restarted",
                sessions=len(encoded),
                exc_info=True,
            )

    async def take(self, name: str) -> None:
        """Keep what a process has left that is gone."""
        if name in self._taken or (left := self._bus.left_behind(name)) is None:
            return
        self._taken.add(name)
        now, unix_time = self._now(), time.time()
        unknown = 0
        for encoded in _sessions(left):
            try:
                each = decode_ended(encoded)
            except DecodeError:
                unknown += 1
                continue
            record = Record(each.id, decode_text(each.subject), each.hash, begun=True)
            await self._store.inherit(record, each.tombstone, now + each.until - unix_time)
        if unknown:
            log_event(
                INFO,
                "unknown_item",
                "another worker of this server runs a later release, and sessions there ended in "
                "a way that this one does not know: it tells their clients that it was restarted",
                sessions=unknown,
            )


def _sessions(left: bytes) -> list[Raw]:
    try:
        return decode_ended_sessions(left).sessions
    except DecodeError:
        return []  # the machine has crashed while it was written
