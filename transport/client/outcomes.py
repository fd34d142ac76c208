"""`Outcomes`: what became of sends, and who waits to be told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from transport.errors import ChannelError, Fate, TooLarge, Unacknowledged
from transport.protocol.client.events import Settled
from transport.waiting import Waiters

MAX_FAILED_RANGES = 1000
"""Ranges of sends that were not handled, of which `Outcomes.wait` can still tell."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Sends that were not handled, and why."""

    first: int
    last: int
    fate: Fate | None
    """None: the server's limit refused it."""
    size: int = 0
    limit: int = 0
    cause: ChannelError | None = None

    def error(self, number: int) -> ChannelError:
        if self.fate is None:
            return TooLarge(self.size, self.limit)
        error = Unacknowledged(number, self.fate)
        error.__cause__ = self.cause
        return error


class Outcomes:
    """What became of each send, by its number.

    Attributes:
        handled: how many the server has handled.
    """

    def __init__(self, waiters: Waiters) -> None:
        self.handled = 0
        self._waiters = waiters
        self._settled_up_to = 0
        """All sends up to it have an outcome: handled, if `_failures` knows no other."""
        self._failures: deque[_Failure] = deque()
        self._forgotten_up_to = 0
        """Of sends up to it, it is not known any more whether they failed."""

    def settle(self, sends: Iterable[Settled], cause: ChannelError | None = None) -> None:
        """Their session tells, or ``cause`` has ended it."""
        for one in sends:
            if one.fate is Fate.HANDLED:
                self.handled += one.last - one.first + 1
            else:
                self._add_failure(_Failure(one.first, one.last, one.fate, cause=cause))
            self._settled_up_to = max(self._settled_up_to, one.last)
        self._waiters.changed()

    def reject(self, number: int, size: int, limit: int) -> None:
        """The server takes no message of that size (DAT-5)."""
        self._add_failure(_Failure(number, number, None, size, limit))
        self._waiters.changed()

    def _add_failure(self, sends: _Failure) -> None:
        self._failures.append(sends)
        if len(self._failures) > MAX_FAILED_RANGES:
            self._forgotten_up_to = self._failures.popleft().last

    def _failure_of(self, number: int) -> _Failure | None:
        return next(
            (one for one in reversed(self._failures) if one.first <= number <= one.last), None
        )

    async def wait(self, number: int, last: int) -> None:
        """Wait for the outcome of a send, ``last`` being the latest; see `Channel.acknowledged`."""
        if not self._forgotten_up_to < number <= last:
            raise ValueError(f"of no message {number} anything is known")
        await self._waiters.until(
            lambda: number <= self._settled_up_to or self._failure_of(number) is not None
        )
        failure = self._failure_of(number)
        if failure is not None:
            raise failure.error(number)
