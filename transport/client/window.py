"""`Window`: the senders of a channel that wait for room (PROTOCOL.md DAT-6)."""

from __future__ import annotations

from transport.errors import ChannelClosed
from transport.protocol.client.session import ClientSession
from transport.send_window import SendWindow


class Window(SendWindow):
    """The queue of senders that wait for room in the window of ``session``."""

    def __init__(self, session: ClientSession) -> None:
        super().__init__(lambda size: session.outbox.buffer.has_room(size))
        self._session = session

    async def wait_for_capacity(self, size: int) -> None:
        """Wait until a message of ``size`` bytes fits; see `Channel.send`."""
        if not self.has_capacity(size):
            await self.wait(size, self._check_open)

    def _check_open(self) -> None:
        if (ending := self._session.ending) is not None:
            raise ChannelClosed(ending.code, ending.reason)

    def check(self, now: float, *, is_attached: bool) -> float:
        """Wake or fail the senders whose turn it is, and return when to check again."""
        session, timeout = self._session, self._session.terms.stall
        if self.senders:
            if session.ending is not None:
                self.wake_all()
            else:
                self.wake_next()
            mark = session.outbox.buffer.acked
            self.fail_if_stalled(mark, now, timeout, is_attached=is_attached)
        return self.stalls_at(timeout)
