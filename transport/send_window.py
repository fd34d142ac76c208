"""`SendWindow`: the queue of `send()` calls that wait for room in a send buffer (DAT-6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from transport.errors import Stalled
from transport.waiting import resolve


@dataclass(slots=True, eq=False)
class Sender:
    """A `send()` that waits for room for ``size`` bytes."""

    size: int
    waiter: asyncio.Future[None]
    stalled_for: float | None = None
    """Seconds for which the other side acknowledged nothing; None unless that is too long."""


class SendWindow:
    """Gives the room in a send buffer to senders, first come, first served.

    Args:
        has_room: returns whether the buffer has room for a message of this size in bytes.

    Attributes:
        senders: those that wait, the next one first.
    """

    __slots__ = ("_has_room", "_mark", "_mark_since", "senders")

    def __init__(self, has_room: Callable[[int], bool]) -> None:
        self._has_room = has_room
        self.senders: list[Sender] = []
        self._mark = -1
        """The other side's mark when it last advanced; -1 before the first check."""
        self._mark_since = 0.0

    def has_capacity(self, size: int) -> bool:
        """Whether a message of ``size`` bytes can be sent now, without overtaking another."""
        return not self.senders and self._has_room(size)

    @property
    def promised(self) -> Sender | None:
        """The sender that was woken, and sends in this turn: the room that it needs is taken."""
        return self.senders[0] if self.senders and self.senders[0].waiter.done() else None

    async def wait(self, size: int, check_open: Callable[[], None]) -> None:
        """Wait until a message of ``size`` bytes can be sent. Cancellation-safe.

        Args:
            size: in bytes.
            check_open: raises the error of a sender once nothing more can be sent. (An argument,
                because the window must not refer to its owner: that would be a reference cycle.)

        Raises:
            Stalled: see `fail_if_stalled`.
            ChannelError: what ``check_open`` raises.
        """
        loop = asyncio.get_running_loop()
        if not self.senders:
            self._mark = -1
        sender = Sender(size, loop.create_future())
        self.senders.append(sender)
        try:
            while self.senders[0] is not sender or not self._has_room(size):
                check_open()
                if sender.stalled_for is not None:
                    raise Stalled(
                        f"the buffer is full and the other side, although connected, has "
                        f"acknowledged nothing for {sender.stalled_for} s. This message was not "
                        "sent; earlier ones are still buffered. Retry later, or close the channel. "
                        "Limits(stall=...) sets the timeout"
                    )
                await sender.waiter
                sender.waiter = loop.create_future()
        finally:
            self.senders.remove(sender)
            if self.senders:
                resolve(self.senders[0].waiter)

    def wake_next(self) -> None:
        """Wake the sender whose turn it is, if there is room for its message."""
        if self.senders and self._has_room(self.senders[0].size):
            resolve(self.senders[0].waiter)

    def wake_all(self) -> None:
        """Wake every sender, as sending may no longer be possible."""
        for sender in self.senders:
            resolve(sender.waiter)

    def fail_if_stalled(self, mark: int, now: float, timeout: float, *, is_attached: bool) -> bool:
        """Fail the senders if the other side is attached but its mark has not advanced.

        Args:
            mark: the highest number that the other side has acknowledged.
            now: seconds.
            timeout: seconds for which the mark need not advance.
            is_attached: whether a connection is attached; a peer that is away does not stall.

        Returns:
            Whether they were failed.
        """
        if self._mark != mark or not is_attached:
            self._mark, self._mark_since = mark, now
        elif now - self._mark_since >= timeout:
            self._mark_since = now
            for sender in self.senders:
                sender.stalled_for = timeout
            self.wake_all()
            return True
        return False

    def stalls_at(self, timeout: float) -> float:
        """Return when to ask `fail_if_stalled` next; infinity while no sender waits."""
        return self._mark_since + timeout if self.senders else inf
