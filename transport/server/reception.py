"""`Reception`: which task receives the messages of a session, and whether it waits for one."""

from __future__ import annotations

import asyncio
from enum import Enum

from transport.waiting import resolve


class _Unclaimed(Enum):
    TOKEN = 0


UNCLAIMED = _Unclaimed.TOKEN
"""In the place of the future of the task that waits for a message: the next call of `receive` is to
record its task as the one that receives. Any further call costs nothing for that."""


class Reception:
    """The task that receives the messages of one session.

    Attributes:
        waiter: the future of the task that waits for a message; None while none waits.
        receiver: the task that receives: the handler's, until another does.
    """

    __slots__ = ("receiver", "waiter")

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | _Unclaimed | None = UNCLAIMED
        self.receiver: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a task has begun to receive, and did not stop."""
        return self.waiter is not UNCLAIMED

    @property
    def is_waiting(self) -> bool:
        """Whether a task waits for a message."""
        return self.waiter is not None and self.waiter is not UNCLAIMED

    def wake(self) -> None:
        """Wake the task that waits, if one does."""
        if isinstance(self.waiter, asyncio.Future):
            resolve(self.waiter)

    def stop(self) -> None:
        """Record that no task receives until the next one claims it."""
        self.waiter = UNCLAIMED
