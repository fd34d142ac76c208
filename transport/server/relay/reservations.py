"""`Reservations`: which session an opening gets, when its ``open`` reaches several processes.

For each opening one process is its *owner* (`transport.bus.ranks`), which keeps the first id that
was proposed. If the owner changes because a process comes or goes, an opening may get two sessions;
the client keeps the one whose answer it reads (OPN-4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from msgspec import Raw

from transport.bus.calls import Calls
from transport.bus.interface import Bus, NoAnswer, NotReached, Pipe
from transport.bus.ranks import ranked
from transport.server.relay.messages import Reserved, decode_id, decode_reserved

OWNER_ANSWERS_WITHIN = 1.0
"""Seconds after which the next in rank is asked."""


def opening_key(subject: str, client: str, nonce: str) -> str:
    """Return the name of an opening, from which nobody can tell its nonce."""
    text = f"{client}:{nonce}:{subject}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()


class Reservations:
    """The reservations that this process owns, and the way to those of the others.

    Args:
        bus: to the other processes.
        calls: over it.
        keep: seconds that a reservation is kept, from its first use: no longer than the store of
            the home knows the nonce.
        now: returns the seconds of the process's clock.
    """

    def __init__(self, bus: Bus, calls: Calls, keep: float, now: Callable[[], float]) -> None:
        self._bus = bus
        self._calls = calls
        self._keep = keep
        self._now = now
        self._reserved: dict[str, tuple[str, float]] = {}
        """Ids, and until when; in order of expiry."""
        calls.respond("reserve", self._respond)

    async def reserve(self, opening: str, session_id: str, instead: str = "") -> str:
        """Return the id of the session that an opening gets.

        Args:
            opening: see `opening_key`.
            session_id: the one to begin if none is reserved.
            instead: an id that was returned before, and that no session has after all.
        """
        question = Reserved(opening, session_id, instead)
        for owner in ranked(opening.encode(), {self._bus.name, *self._bus.peers}):
            if owner == self._bus.name:
                break
            try:
                pipe = self._bus.pipe_to(owner)
                answer = await self._calls.call(pipe, "reserve", question, OWNER_ANSWERS_WITHIN)
            except (NotReached, NoAnswer):
                continue
            return decode_id(answer)
        return self._reserve(question)

    def _reserve(self, question: Reserved) -> str:
        now = self._now()
        while self._reserved:
            oldest = next(iter(self._reserved))
            if self._reserved[oldest][1] > now:
                break
            del self._reserved[oldest]
        known, _ = self._reserved.get(question.opening, ("", 0.0))
        if known and known != question.instead:
            return known
        self._reserved.pop(question.opening, None)
        self._reserved[question.opening] = question.id, now + self._keep
        return question.id

    async def _respond(self, pipe: Pipe, body: Raw) -> str:
        return self._reserve(decode_reserved(body))
