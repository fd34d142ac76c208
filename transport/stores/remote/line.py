"""`Line`: a wire that is connected again when it breaks, by the one task that uses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from transport.stores.pause import Pause
from transport.stores.remote.times import Times
from transport.stores.remote.wire import Greeting, Unanswered, Unwilling, Wire


class Line:
    """A connection that is made when it is needed.

    Args:
        wire: the connection.
        greeted: called after each connection, before anything else is asked over it.
        times: how long an answer may take.

    Attributes:
        is_stale: whether it should connect again though it works.
        reconnecting: called when `is_stale` becomes true.
        run: the run of the server at the last connection; "" before the first.
        reason: why it does not work; "" while it does.
    """

    def __init__(
        self,
        wire: Wire,
        greeted: Callable[[Line, Wire, Greeting], Awaitable[None]],
        times: Times,
    ) -> None:
        self.times = times
        self.is_stale = False
        self.reconnecting: Callable[[], None] = _do_nothing
        self.run = ""
        self.reason = ""
        self._wire = wire
        self._greeted = greeted
        self._is_connected = False
        self._pause = Pause()

    async def connected(self) -> Wire:
        """Return the wire, connected.

        Raises:
            Unanswered, Unwilling: see `Wire.connect`.
        """
        if self.is_stale:
            self.drop()
        if not self._is_connected:
            greeting = await self._wire.connect()
            await self._greeted(self, self._wire, greeting)
            self.run = greeting.run
            self._is_connected = True
        return self._wire

    def reconnect(self) -> None:
        """Connect again before it is used next, because another connection met another server."""
        self.is_stale = True
        self.reconnecting()

    def drop(self) -> None:
        """End the connection."""
        self._is_connected = self.is_stale = False
        self._wire.drop()

    def answered(self) -> None:
        """Note that it works, so that it is connected without a pause once it breaks."""
        self._pause.reset()
        self.reason = ""

    def failed(self, error: TimeoutError | Unanswered | Unwilling) -> None:
        """End the connection, because it failed."""
        self.drop()
        self.reason = str(error) or f"no answer within {self.times.answer:g} s"

    async def wait_to_retry(self) -> None:
        """Wait until the next attempt is due, see `Pause`."""
        await self._pause.wait()


def _do_nothing() -> None:
    """Stand for what nobody has set."""
