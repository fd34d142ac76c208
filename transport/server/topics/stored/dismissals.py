"""`Dismissals`: ends the sessions of users that are dismissed, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from transport.errors import StoreUnavailable
from transport.protocol.topic_log import Entry
from transport.protocol.topic_names import DISMISSALS, decode_dismissal, encode_dismissal
from transport.server.topics.stored.stored_topics import StoredTopics

RETRY_AFTER = 1.0
"""Seconds until a store that did not answer is asked again who was dismissed."""


@dataclass(slots=True, eq=False)
class _Claim:
    """A session that this process has just opened or claimed, and may be about to hold.

    Attributes:
        subject: of the session.
        dismissed: when a dismissal was learned of since the store was asked; 0 if none was.
    """

    subject: str
    dismissed: int = 0


class Dismissals:
    """Follows the topic of dismissals, and looks in the store after it has missed one.

    A session that this process claims is not among those that it ends: look at `was_dismissed` when
    the session is held, and before anything of it is shown. Implements `Member`.

    Args:
        topics: of this process.
        end: called with a subject, and a time of the store in microseconds: ends the sessions of
            the subject that were born until then.
        subjects: returns the subjects that have sessions in this process.
        refuse: called with a subject whose dismissal arrives: lets nobody in whose sign-in as that
            subject is under way.
    """

    def __init__(
        self,
        topics: StoredTopics,
        end: Callable[[str, int], None],
        subjects: Callable[[], Collection[str]],
        refuse: Callable[[str], None],
    ) -> None:
        self._topics = topics
        self._end = end
        self._subjects = subjects
        self._refuse = refuse
        self._claims: list[_Claim] = []
        """Those for which the store is asked now."""
        self._missed = asyncio.Event()
        self._cursor = 0

    async def run(self) -> None:
        """End sessions, until the task is cancelled."""
        self._topics.leave(DISMISSALS, self)  # if it has run before
        while True:
            self._missed.clear()
            await self._topics.join(DISMISSALS, self)
            await self._look()
            await self._missed.wait()

    async def dismiss(self, subject: str) -> None:
        """End the sessions of a subject in all processes.

        Returns when the store has it, and the sessions in this process have ended.

        Raises:
            StoreUnavailable: see `StoredTopics.publish`.
        """
        await self._topics.publish(DISMISSALS, encode_dismissal(subject), dismisses=subject)

    async def was_dismissed(self, subject: str, born: int) -> bool:
        """Return whether a subject was dismissed since a session was born.

        Args:
            subject: of the session.
            born: the store's time of its birth in microseconds.

        Raises:
            StoreUnavailable: the store did not answer in time.
        """
        claim = _Claim(subject)
        self._claims.append(claim)
        try:
            [time] = await self._topics.dismissals([subject])
        finally:
            self._claims.remove(claim)
        return born <= max(time, claim.dismissed)

    async def _look(self) -> None:
        """End the sessions whose dismissal did not arrive."""
        while subjects := [*{*self._subjects(), *(claim.subject for claim in self._claims)}]:
            try:
                times = await self._topics.dismissals(subjects)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_AFTER)
                continue
            for subject, time in zip(subjects, times, strict=True):
                if time:
                    self._end_until(subject, time)
            return

    def _end_until(self, subject: str, time: int) -> None:
        self._end(subject, time)
        for claim in self._claims:
            if claim.subject == subject:
                claim.dismissed = max(claim.dismissed, time)

    # `Member`

    id = ""
    doubt = 0

    @property
    def cursor(self) -> int:
        """See `Member`."""
        return self._cursor

    def begin(self, cursor: int) -> None:
        """See `Member.begin`."""
        self._cursor = cursor

    def offer(self, entry: Entry) -> bool:
        """See `Member.offer`."""
        self._cursor = entry.number
        try:
            subject = decode_dismissal(entry.payload)
        except ValueError:
            self._missed.set()  # of a release that says it in another way: the store has the time
            return False
        self._refuse(subject)
        self._end_until(subject, entry.number)
        return True

    def suspect(self, number: int) -> None:
        """See `Member.suspect`. A dismissal may come twice."""

    def skip(self, number: int) -> None:
        """See `Member.skip`."""
        self._cursor = number

    def reset(self) -> None:
        """See `Member.reset`."""
        self._missed.set()
