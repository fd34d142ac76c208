"""`Outcomes`: what became of each send, and the tasks that wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from transport.errors import ChannelError, Fate, Unacknowledged
from transport.protocol.client.events import Settled
from transport.waiting import Waiters

MAX_FAILED_RANGES = 1000
"""Ranges of sends that were not handled and that `Outcomes.wait` still remembers."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Sends that were not handled, and why."""

    first: int
    last: int
    fate: Fate | None
    """None if the server refused the message by its number."""
    cause: ChannelError | None = None
    """What ended their session; the error itself if the server refused the message."""

    def error(self, number: int) -> ChannelError:
        if self.fate is None:
            assert self.cause is not None
            return self.cause
        error = Unacknowledged(number, self.fate)
        error.__cause__ = self.cause
        return error


class Outcomes:
    """The outcome of each send, by its number.

    Attributes:
        handled: how many sends the server has handled.
    """

    def __init__(self, waiters: Waiters) -> None:
        self.handled = 0
        self._waiters = waiters
        self._settled_up_to = 0
        """All sends up to this one have an outcome: handled, unless `_failures` has another."""
        self._failures: deque[_Failure] = deque()
        self._forgotten_up_to = 0
        """Failures up to this send may have been forgotten."""

    def settle(self, sends: Iterable[Settled], cause: ChannelError | None = None) -> None:
        """Record the fates of ``sends``; ``cause`` is what ended their session, if it has ended."""
        for settled in sends:
            first, last = settled.first, settled.last
            if settled.fate is Fate.HANDLED:
                self.handled += last - first + 1
            else:
                self._add_failure(_Failure(first, last, settled.fate, cause=cause))
            self._settled_up_to = max(self._settled_up_to, last)
        self._waiters.changed()

    def reject(self, number: int, error: ChannelError) -> None:
        """Record that the server refused a message by its number (DAT-5)."""
        self._add_failure(_Failure(number, number, None, error))
        self._waiters.changed()

    def _add_failure(self, sends: _Failure) -> None:
        self._failures.append(sends)
        if len(self._failures) > MAX_FAILED_RANGES:
            self._forgotten_up_to = self._failures.popleft().last

    def _failure_of(self, number: int) -> _Failure | None:
        for failure in reversed(self._failures):
            if failure.first <= number <= failure.last:
                return failure
        return None

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
        await self._waiters.until(
            lambda: number <= self._settled_up_to or self._failure_of(number) is not None
        )
        failure = self._failure_of(number)
        if failure is not None:
            raise failure.error(number)
