"""`Window`: who waits for room to send (PROTOCOL.md DAT-6)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from transport.errors import ChannelClosed, Stalled
from transport.protocol.client.session import ClientSession
from transport.waiting import Waiters


@dataclass(slots=True, eq=False)
class _Sender:
    """Who waits for room."""

    stalled: bool = False


class Window:
    """The room that the window of ``session`` has, given first come, first served."""

    def __init__(self, session: ClientSession, waiters: Waiters) -> None:
        self._session = session
        self._waiters = waiters
        self._senders: list[_Sender] = []
        self._stall: tuple[int, float] | None = None
        """The mark, and since when it has not moved though somebody waits for it."""

    async def room(self, size: int) -> None:
        """Wait until a message of that size fits; see `Channel.send`."""
        session = self._session
        if not self._senders and session.outbox.buffer.has_room(size):
            return
        entry = _Sender()
        self._senders.append(entry)
        try:
            while self._senders[0] is not entry or not session.outbox.buffer.has_room(size):
                if (ending := session.ending) is not None:
                    raise ChannelClosed(ending.code, ending.reason)
                if entry.stalled:
                    raise Stalled(
                        "the window is full, and the server handles nothing though attached: "
                        "nothing was sent, try again"
                    )
                await self._waiters.until(
                    lambda: (
                        entry.stalled
                        or session.ending is not None
                        or (self._senders[0] is entry and session.outbox.buffer.has_room(size))
                    )
                )
        finally:
            self._senders.remove(entry)
            self._waiters.changed()

    def check_stall(self, now: float, *, attached: bool) -> float:
        """Fail those who wait while no mark moves though attached; when to look again."""
        if not self._senders:
            self._stall = None
            return inf
        acked, patience = self._session.outbox.buffer.acked, self._session.terms.stall
        if self._stall is None or self._stall[0] != acked or not attached:
            self._stall = (acked, now)
        elif now - self._stall[1] >= patience:
            self._stall = (acked, now)
            for sender in self._senders:
                sender.stalled = True
            self._waiters.changed()
        return self._stall[1] + patience
