"""`DrivenJournal`: the journal of a session, as its driver sees it."""

from __future__ import annotations

from typing import Protocol


class DrivenJournal(Protocol):
    """Writes one session to a store that other processes share.

    Attributes:
        epoch: what its clients are told (EPO-1).
        born: when the session was opened, in microseconds of the store's clock.
        is_busy: whether a write is due or under way: until it is stored, `changed` does nothing.
    """

    epoch: str
    born: int
    is_busy: bool

    @property
    def is_held(self) -> bool:
        """Whether this process is certain to have the session."""
        ...

    def changed(self) -> None:
        """Learn that there may be something to write."""
        ...

    def tick(self) -> None:
        """Do what has become due."""
        ...

    async def flush(self) -> None:
        """Wait until everything that was sent is stored.

        Raises:
            ChannelClosed: the session was lost or has ended first.
        """
        ...

    async def saved(self) -> None:
        """Wait until what there is to store now is stored, or the session has gone."""
        ...

    async def release(self) -> None:
        """Store what there is, and let other processes have the session."""
        ...

    def check_lease(self) -> None:
        """Do as `doubt` if the lease may have ended, by a clock that does not stand still."""
        ...

    def doubt(self) -> None:
        """Hand nothing out until a write has shown that this process has the session."""
        ...

    def lost(self) -> None:
        """Learn that the store has lost data, or is another."""
        ...

    def prove(self) -> None:
        """Show by a write that this process has the session."""
        ...
