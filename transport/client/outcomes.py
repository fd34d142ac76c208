"""`Outcomes`: what became of each send, and the tasks that wait for it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

from transport.errors import ChannelError, Fate, Unacknowledged
from transport.protocol.client.events import Settled

MAX_FAILED_RANGES = 1000
"""Ranges of sends that were not handled and that `Outcomes.wait` still remembers."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Sends that were not handled, and why."""

    first: int
    last: int
    fate: Fate | None
    """None if the server refused the message by its number."""
    cause: ChannelError | None
    """What ended their session; the error itself if the server refused the message."""

    def error(self, number: int) -> ChannelError:
        if self.fate is None:
            assert self.cause is not None
            return self.cause
        error = Unacknowledged(number, self.fate)
        error.__cause__ = self.cause
        return error


def _first(sends: _Failure) -> int:
    return sends.first


class Outcomes:
    """The outcome of each send, by its number.

    Each outcome wakes the tasks that wait for it, and no others.

    Attributes:
        handled: how many sends the server has handled.
    """

    def __init__(self) -> None:
        self.handled = 0
        self._waiting: dict[int, list[asyncio.Future[_Failure | None]]] = {}
        """The tasks that wait for a send, by its number."""
        self._settled_up_to = 0
        """All sends up to this one have an outcome: handled, unless `_failures` has another."""
        self._failures: list[_Failure] = []
        """In order of their numbers."""
        self._forgotten_up_to = 0
        """Failures up to this send may have been forgotten."""

    def settle(self, sends: Iterable[Settled], cause: ChannelError | None = None) -> None:
        """Record the fates of ``sends``; ``cause`` is what ended their session, if it has ended."""
        for settled in sends:
            first, last = settled.first, settled.last
            self._settled_up_to = max(self._settled_up_to, last)
            if settled.fate is Fate.HANDLED:
                self.handled += last - first + 1
                self._wake(first, last, None)
            else:
                self._fail(_Failure(first, last, settled.fate, cause))

    def reject(self, first: int, last: int, error: ChannelError) -> None:
        """Record that the server refused messages by their numbers (DAT-5)."""
        self._fail(_Failure(first, last, None, error))

    def _fail(self, sends: _Failure) -> None:
        insort(self._failures, sends, key=_first)
        if len(self._failures) > MAX_FAILED_RANGES:
            self._forgotten_up_to = self._failures.pop(0).last
        self._wake(sends.first, sends.last, sends)

    def _wake(self, first: int, last: int, failure: _Failure | None) -> None:
        """Wake the tasks that wait for one of these sends."""
        waiting = self._waiting
        if not waiting:
            return
        for number in range(first, last + 1):
            for waiter in waiting.pop(number, ()):
                if not waiter.done():
                    waiter.set_result(failure)

    def _failure_of(self, number: int) -> _Failure | None:
        index = bisect_right(self._failures, number, key=_first)
        failure = self._failures[index - 1] if index else None
        return failure if failure is not None and number <= failure.last else None

    async def wait(self, number: int, last: int) -> None:
        """Wait for the outcome of send ``number``; see `Channel.acknowledged`.

        Args:
            number: the send.
            last: the number of the latest send.
        """
        if not self._forgotten_up_to < number <= last:
            raise ValueError(
                f"no message has the number {number}, or its outcome was forgotten: only the "
                f"{MAX_FAILED_RANGES} latest failures are kept"
            )
        failure = self._failure_of(number)
        if failure is None and number > self._settled_up_to:
            failure = await self._outcome(number)
        if failure is not None:
            raise failure.error(number)

    async def _outcome(self, number: int) -> _Failure | None:
        waiter: asyncio.Future[_Failure | None] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(number, [])
        waiters.append(waiter)
        try:
            return await waiter
        finally:
            if self._waiting.get(number) is waiters:  # else it was woken
                waiters.remove(waiter)
                if not waiters:
                    del self._waiting[number]
