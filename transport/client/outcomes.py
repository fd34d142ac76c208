"""`Outcomes`: what became of sends, and who waits to be told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from transport.errors import ChannelError, Fate, TooLarge, Unacknowledged
from transport.protocol.client.events import Settled
from transport.waiting import Waiters

KEPT = 1000
"""Ranges of sends that were not handled, of which `Outcomes.wait` can still tell."""


@dataclass(frozen=True, slots=True)
class _Unhandled:
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
        self._settled = 0
        """All sends up to it have an outcome: handled, if `_unhandled` knows no other."""
        self._unhandled: deque[_Unhandled] = deque()
        self._forgotten = 0
        """Of sends up to it, it is not known any more whether they failed."""

    def settle(self, sends: Iterable[Settled], cause: ChannelError | None = None) -> None:
        """Their session tells, or ``cause`` has ended it."""
        for one in sends:
            if one.fate is Fate.HANDLED:
                self.handled += one.last - one.first + 1
            else:
                self._keep(_Unhandled(one.first, one.last, one.fate, cause=cause))
            self._settled = max(self._settled, one.last)
        self._waiters.changed()

    def reject(self, number: int, size: int, limit: int) -> None:
        """The server takes no message of that size (DAT-5)."""
        self._keep(_Unhandled(number, number, None, size, limit))
        self._waiters.changed()

    def _keep(self, sends: _Unhandled) -> None:
        self._unhandled.append(sends)
        if len(self._unhandled) > KEPT:
            self._forgotten = self._unhandled.popleft().last

    def _failure_of(self, number: int) -> _Unhandled | None:
        return next(
            (one for one in reversed(self._unhandled) if one.first <= number <= one.last), None
        )

    async def wait(self, number: int, last: int) -> None:
        """Wait for the outcome of a send, ``last`` being the latest; see `Channel.acknowledged`."""
        if not self._forgotten < number <= last:
            raise ValueError(f"of no message {number} anything is known")
        await self._waiters.until(
            lambda: number <= self._settled or self._failure_of(number) is not None
        )
        failure = self._failure_of(number)
        if failure is not None:
            raise failure.error(number)
