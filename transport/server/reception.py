"""`Reception`: which task receives the messages of a session, and whether it waits for one."""

from __future__ import annotations

import asyncio
from enum import Enum

from transport.waiting import resolve


class _Unclaimed(Enum):
    TOKEN = 0


UNCLAIMED = _Unclaimed.TOKEN
"""In the place of the future of the task that waits for a message: the next call of `receive` is to
record its task as the one that receives. Otherwise a call costs nothing for that."""


class Reception:
    """The task that receives the messages of one session.

    Attributes:
        waiter: the future of the task that waits for a message; None while none waits.
        receiver: the task that receives: the handler's, until another does.
        has_begun: whether a task has ever begun to receive.
        at_rest: what ``waiter`` is while no task waits, once one has begun to receive. It is
            `UNCLAIMED` while every call is to record its task.
    """

    __slots__ = ("at_rest", "has_begun", "receiver", "waiter")

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | _Unclaimed | None = UNCLAIMED
        self.receiver: asyncio.Task[None] | None = None
        self.has_begun = False
        self.at_rest: _Unclaimed | None = None

    def claim(self) -> None:
        """Record that the current task receives."""
        self.waiter = self.at_rest
        self.receiver = asyncio.current_task()
        self.has_begun = True

    def watch(self) -> None:
        """Record the task of every call from now on."""
        self.at_rest = UNCLAIMED
        if self.waiter is None:
            self.waiter = UNCLAIMED

    def unwatch(self) -> None:
        """Record the task of the next call only, if it is due."""
        self.at_rest = None

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
