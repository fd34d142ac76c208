"""`DrivenLink`: a connection's link as its session's driver sees it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from transport.protocol.server.attachments import Attachment
from transport.server.adapters.ports import Link


class DrivenLink(Link, Protocol):
    """A connection's link.

    Attributes:
        attachment: the connection's place in the session.
        waiter: the future that the writer awaits while there is nothing to write.
    """

    attachment: Attachment
    waiter: asyncio.Future[None] | None

    def wake_writer(self) -> None:
        """Wake the writer; the caller knows that there is something to write."""
        ...

    def wake_writer_if_due(self) -> None:
        """Wake the writer if there is something to write."""
        ...

    def tick(self, now: float) -> None:
        """Do what has become due at ``now``."""
        ...

    # Long poll

    def park(self) -> int:
        """Begin to wait for the answer to a poll, and end the wait of an older poll.

        Returns:
            A ticket for `is_newest_poll` and `unpark`.
        """
        ...

    def is_newest_poll(self, ticket: int) -> bool:
        """Return whether no newer poll has arrived since that ticket."""
        ...

    def unpark(self, ticket: int) -> None:
        """End the wait of a poll, answered or not."""
        ...

    async def due_within(self, seconds: float) -> None:
        """Wait as `due` says, at most ``seconds``."""
        ...
