"""`Homes`: which process has a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from transport.bus.interface import NAME_LENGTH, Bus
from transport.server.relay.foreign import ForeignSessions


class Homes(Protocol):
    """Finds the home of a session."""

    async def find(self, session_id: str) -> str | None:
        """Return the name of the home of a session; None if it is here, or gone.

        Raises:
            ProtocolError: it cannot be told now, or the client is to open the session again.
        """
        ...

    async def is_gone(self, session_id: str) -> bool:
        """Look for the home of a session of another process, which could not be reached.

        Raises:
            ProtocolError: see `find`.
        """
        ...

    async def check_answering(self, session_id: str) -> None:
        """Look for the home of a session, which has not answered.

        Raises:
            ProtocolError: ``not_attached``: it stands still, and the session gets another home.
        """
        ...

    async def has_moved(self, session_id: str, home: str) -> bool:
        """Whether a session has another home than the one that does not answer: `find` it again.

        Raises:
            ProtocolError: it cannot be told now.
        """
        ...

    async def home_of(self, session_id: str) -> str | None:
        """Return the name of the home of a session, whether or not that lives; None without one.

        Raises:
            StoreUnavailable: the store that has the session does not answer.
        """
        ...

    def is_wrong(self, session_id: str) -> bool:
        """Whether the home that `find` returned may not be the one, as it denies the session."""
        ...


class NamedHomes:
    """Finds the home of a session, whose name begins its id.

    Args:
        bus: to the other processes.
        foreign: told of sessions that no process of the hub began.
        inherit: takes over what a process has left that is gone.
    """

    def __init__(
        self, bus: Bus, foreign: ForeignSessions, inherit: Callable[[str], Awaitable[None]]
    ) -> None:
        self._bus = bus
        self._foreign = foreign
        self._inherit = inherit

    async def find(self, session_id: str) -> str | None:
        """Return the name of the home of a session; None if it is here, or gone."""
        name = session_id[:NAME_LENGTH]
        if name == self._bus.name:
            return None
        is_alive = self._bus.is_alive(name)
        if is_alive is None:
            self._foreign.seen(session_id)
        elif not is_alive:
            is_alive = not await self.is_gone(session_id)
        return name if is_alive else None

    async def is_gone(self, session_id: str) -> bool:
        """Look for the home of a session of another process, which could not be reached."""
        name = session_id[:NAME_LENGTH]
        if await self._bus.look_for(name):
            return False
        await self._inherit(name)
        return True

    async def check_answering(self, session_id: str) -> None:
        """See `Homes.check_answering`: no other process can have it."""

    async def has_moved(self, session_id: str, home: str) -> bool:
        """See `Homes.has_moved`: a session keeps its name."""
        return False

    async def home_of(self, session_id: str) -> str | None:
        """See `Homes.home_of`."""
        return session_id[:NAME_LENGTH]

    def is_wrong(self, session_id: str) -> bool:
        """See `Homes.is_wrong`: a session keeps its name."""
        return False
