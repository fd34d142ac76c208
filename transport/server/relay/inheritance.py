"""`Inheritance`: how sessions have ended, of workers that are gone (RES-8).

A session ends with its home. A client that comes back after that asks another process, which must
know how it ended. So a process that stops tells the others, and one that starts asks one of them.
The alternative, to stop only when all clients have come back, would delay each stop for as long as
the slowest one takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice

from msgspec import DecodeError, Raw, msgpack

from transport.bus.calls import Calls
from transport.bus.interface import Bus, NoAnswer, NotReached, Pipe
from transport.bus.text import decode_text, encode_text
from transport.server.relay.messages import (
    EndedSession,
    EndedSessions,
    decode_ended,
    decode_ended_sessions,
    encode_ended,
)
from transport.stores.memory import WorkerStore
from transport.stores.records import Record
from transport.telemetry.log import INFO, log_event

MAX_SESSIONS = 10_000
"""Sessions of which another process is told: those that are kept longest. It keeps about 1 KiB of
each, and reads all in some 50 ms."""

MAX_SUBJECT = 1024
"""Bytes. A session with a longer subject is not passed on, so that all fit into one item."""

WITHIN = 1.0
"""Seconds for which a process that is stopped may delay the start or the stop of another."""

NOTHING_YET = Raw(msgpack.encode(None))
"""The answer of a process that starts, too, and has asked nobody yet."""


class Inheritance:
    """Passes on how sessions have ended.

    Args:
        bus: to the other processes.
        calls: over it.
        store: of this process.
        now: returns the seconds of the process's clock.
    """

    def __init__(
        self, bus: Bus, calls: Calls, store: WorkerStore, now: Callable[[], float]
    ) -> None:
        self._bus = bus
        self._calls = calls
        self._store = store
        self._now = now
        self._has_taken = False
        calls.respond("inherit", self._respond_inherit)
        calls.respond("ended", self._respond_ended)

    async def give(self) -> None:
        """Tell all other processes: this one stops."""
        ended = self._ended()
        if ended.sessions:
            await asyncio.gather(
                *(self._call(name, "inherit", ended) for name in list(self._bus.peers))
            )

    async def take(self) -> None:
        """Ask the other processes until one answers: this one starts."""
        # One that has not opened its pipe is stopped. Each second that it costs delays the start.
        for name in filter(self._bus.receives_from, list(self._bus.peers)):
            answer = await self._call(name, "ended", None)
            if answer is not None and answer != NOTHING_YET:
                await self._keep(answer)
                break
        self._has_taken = True

    async def _call(self, name: str, kind: str, body: EndedSessions | None) -> Raw | None:
        try:
            return await self._calls.call(self._bus.pipe_to(name), kind, body, WITHIN)
        except (NotReached, NoAnswer):
            return None  # it is gone too, or stopped

    def _ended(self) -> EndedSessions:
        now = self._now()
        ended = EndedSessions([])
        for record, until in islice(self._store.ended(now), MAX_SESSIONS):
            subject = encode_text(record.subject)
            if record.tombstone is not None and len(subject) <= MAX_SUBJECT:
                one = EndedSession(record.id, record.hash, subject, record.tombstone, until - now)
                ended.sessions.append(Raw(encode_ended(one)))
        ended.sessions.reverse()  # the receiver keeps them in order of expiry
        return ended

    async def _keep(self, body: Raw) -> None:
        now = self._now()
        unknown = 0
        for encoded in decode_ended_sessions(body).sessions:
            try:
                each = decode_ended(encoded)
            except DecodeError:
                unknown += 1
                continue
            record = Record(each.id, decode_text(each.subject), each.hash, begun=True)
            await self._store.inherit(record, each.tombstone, now + each.seconds)
        if unknown:
            log_event(
                INFO,
                "unknown_item",
                "another worker of this server runs a later release, and sessions there ended in "
                "a way that this one does not know: it tells their clients that it was restarted",
                sessions=unknown,
            )

    async def _respond_inherit(self, pipe: Pipe, body: Raw) -> None:
        await self._keep(body)

    async def _respond_ended(self, pipe: Pipe, body: Raw) -> EndedSessions | None:
        return self._ended() if self._has_taken else None
