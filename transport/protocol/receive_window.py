"""`ReceiveCursor`: the marks of what arrives, and the window that bounds it."""

from __future__ import annotations

from transport import codes
from transport.errors import Gap, ProtocolError
from transport.limits import Bounds


class ReceiveCursor:
    """The marks of what arrives (MRK-1, MRK-2), and the window that bounds it.

    Attributes:
        received: the highest number held in order.
        handled: the highest number with which the application has finished.
        handed: the highest number that it was given.
        refused: the over-long message that waits for its ``skip`` (DAT-4), or 0.
    """

    __slots__ = ("_held", "_limits", "_sizes", "handed", "handled", "received", "refused")

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        # Lists, here and for what waits: an empty deque takes 760 bytes of every idle session, and
        # what a window holds is moved up by one in no time.
        self._sizes: list[tuple[int, int]] = []
        self._held = 0
        self.received = 0
        self.handled = 0
        self.handed = 0
        self.refused = 0

    def repeated(self, seq: int, count: int) -> int:
        """How many of ``seq`` to ``seq + count - 1``, from the front, are to be dropped.

        Those are repetitions, or all where they stand behind a message that was refused (DAT-4).

        Raises:
            Gap: a number is missing in front of them (NUM-3).
        """
        expected = self.received + 1
        if seq <= expected:
            return min(count, expected - seq)
        if self.refused:
            return count
        raise Gap(expected)

    def take(self, count: int, size: int) -> None:
        """Move the mark over the next ``count`` messages, of ``size`` bytes together.

        Raises:
            ProtocolError: ``window_exceeded`` (DAT-6). Nothing was taken.
        """
        last = self.received + count
        limits = self._limits
        many = last - self.handled > limits.window_messages
        held = self._held + size
        if many or (held > limits.window_bytes and held > limits.window_bytes + limits.body):
            limit = "window_messages" if many else "window_bytes"
            raise ProtocolError(
                codes.WINDOW_EXCEEDED,
                f"more was sent than Limits({limit}={getattr(limits, limit)}) of the server allows "
                "before it is handled",
                limit=limit,
            )
        self.received = last
        self.refused = 0
        self._held = held
        self._sizes.append((last, size))

    def advance(self, count: int) -> None:
        """Move all marks over the next ``count`` messages: a client's ack means no more (MRK-3)."""
        self.received += count
        self.handed = self.handled = self.received

    def refuse(self, number: int) -> bool:
        """Remember that ``number`` was over-long; whether that is to be told, and no repetition.

        Raises:
            Gap: see `repeated`.
        """
        if self.repeated(number, 1):
            return False
        self.refused = number
        return True

    def finish(self) -> None:
        """The application has finished with all it was given."""
        self.handled = self.handed
        sizes = self._sizes
        while sizes and sizes[0][0] <= self.handled:
            self._held -= sizes.pop(0)[1]
