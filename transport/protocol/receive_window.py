"""`ReceiveWindow`: what was received from the other side, and the window that bounds it."""

from __future__ import annotations

from transport import codes
from transport.errors import Gap, ProtocolError
from transport.limits import Bounds


class ReceiveWindow:
    """The high-water marks of a direction (MRK-1, MRK-2), and the window that bounds it.

    Attributes:
        received: the highest number up to which every message was received.
        handled: the highest number that the application has finished with.
        shown: the mark of what is handled that may be told: `handled`, unless a store keeps the
            session.
        is_journaled: whether one does. Then `shown` moves once the store has the mark.
        delivered: the highest number that was delivered to the application.
        held: the bytes of the messages that the application has not finished with.
        refused: the number of a message that was refused and waits for its ``skip`` (DAT-4, DAT-7),
            or 0.
    """

    __slots__ = (
        "_limits",
        "_sizes",
        "delivered",
        "handled",
        "held",
        "is_journaled",
        "received",
        "refused",
        "shown",
    )

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        # A list, as for the messages themselves: an empty deque takes 760 bytes of every idle
        # session, and removing the first item of a window costs next to nothing.
        self._sizes: list[tuple[int, int]] = []
        self.held = 0
        self.received = 0
        self.handled = 0
        self.shown = 0
        self.is_journaled = False
        self.delivered = 0
        self.refused = 0

    def repeated(self, seq: int, count: int) -> int:
        """Return how many messages to drop from the front of the ``count`` that begin at ``seq``.

        These are duplicates; or all of them, if they follow a message that was refused (DAT-4).

        Raises:
            Gap: a number before them is missing (NUM-3).
        """
        expected = self.received + 1
        if seq <= expected:
            return min(count, expected - seq)
        if self.refused:
            return count
        raise Gap(expected)

    def take(self, count: int, size: int) -> None:
        """Count the next ``count`` messages, of ``size`` bytes together, as received.

        Raises:
            ProtocolError: ``window_exceeded`` (DAT-6). Nothing was taken.
        """
        last = self.received + count
        limits = self._limits
        many = last - self.handled > limits.window_messages
        held = self.held + size
        # One frame beyond the window is tolerated, because the other side may count the bytes of
        # JSON differently. The first comparison is implied by the second. It spares nearly every
        # call the property `body`.
        if many or (held > limits.window_bytes and held > limits.window_bytes + limits.body):
            limit = "window_messages" if many else "window_bytes"
            raise ProtocolError(
                codes.WINDOW_EXCEEDED,
                "the unhandled messages exceed the server's "
                f"Limits({limit}={getattr(limits, limit)})",
                limit=limit,
            )
        self.received = last
        self.refused = 0
        self.held = held
        self._sizes.append((last, size))

    def receive_and_handle(self, count: int) -> None:
        """Count the next ``count`` messages as handled: a client acks what it received (MRK-3)."""
        self.received += count
        self.delivered = self.handled = self.shown = self.received

    def restore(self, handled: int) -> None:
        """Continue a direction of which a store has kept the mark: what is above comes again."""
        self.received = self.delivered = self.handled = self.shown = handled

    def refuse(self, number: int) -> bool:
        """Record that message ``number`` is refused; return False if it is a duplicate.

        Raises:
            Gap: see `repeated`.
        """
        if self.repeated(number, 1):
            return False
        self.refused = number
        return True

    def give_back(self) -> None:
        """Refuse what was received and not delivered (DAT-7). What was delivered is handled."""
        self.mark_handled()
        self.received = self.delivered
        self.refused = self.received + 1
        self.release()

    def drop_waiting(self) -> None:
        """Stop holding what was received and not delivered: it was dropped.

        Of a frame that was delivered in part, all is held until that part is handled.
        """
        sizes = self._sizes
        kept, last = 0, self.handled
        while kept < len(sizes) and last < self.delivered:
            last = sizes[kept][0]
            kept += 1
        del sizes[kept:]
        self.held = sum([size for _, size in sizes])

    def release(self) -> None:
        """Hold nothing: the application has ended, whether or not it has finished."""
        self._sizes.clear()
        self.held = 0

    def mark_handled(self) -> None:
        """Count every message that was delivered to the application as handled."""
        self.handled = handled = self.delivered
        if not self.is_journaled:
            self.shown = handled
        sizes = self._sizes
        while sizes and sizes[0][0] <= handled:
            self.held -= sizes.pop(0)[1]
