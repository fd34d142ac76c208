"""`WaitingBuffer`: the client's send buffer, where messages wait for their numbers."""

from __future__ import annotations

from transport.limits import Bounds
from transport.protocol.codec import Payload, size_of
from transport.protocol.send_buffer import SendBuffer


class WaitingBuffer(SendBuffer):
    """A client's: a message waits in it until it is first put on an attached connection (NUM-2).

    The order decides its number, so `append` can tell it; but what was not put on a wire counts in
    no window, and no mark can cover it.

    Attributes:
        in_flight: bytes that were put on a wire and are not acknowledged.
        skipped: numbers in whose place a ``skip`` stands (DAT-5).
    """

    __slots__ = ("in_flight", "skipped")

    def __init__(self, limits: Bounds) -> None:
        super().__init__(limits)
        self.in_flight = 0
        self.skipped: set[int] = set()

    def set_limits(self, limits: Bounds) -> None:
        """Go by the server's limits, once it has told them."""
        self._limits = limits

    def peek(self, number: int) -> Payload | None:
        """What may be put on a wire as ``number``, at or above the first that is kept.

        Returns:
            None where there is none, or the window is full (DAT-6).
        """
        if number > self.last:
            return None
        payload = self._payloads[number - self.acked - 1]
        if number > self.sent > self.acked and (
            self.sent - self.acked >= self._limits.window_messages
            or self.in_flight + size_of(payload) > self._limits.window_bytes
        ):
            return None
        return payload

    def put(self, number: int, size: int) -> None:
        """``number``, of ``size`` bytes, is put on a wire; again, perhaps."""
        if number > self.sent:
            self.sent = number
            self.in_flight += size

    def acknowledge(self, number: int) -> bool:
        before = self.size
        moved = super().acknowledge(number)
        self.in_flight -= before - self.size
        return moved

    def skip(self, number: int) -> int | None:
        """Put a ``skip`` in the place of a message.

        Returns:
            The size of the message; None where there is none, or it was done before.
        """
        if not self.acked < number <= self.last or number in self.skipped:
            return None
        self.skipped.add(number)
        return size_of(self._payloads[number - self.acked - 1])

    def waiting_above(self, size: int) -> list[int]:
        """The numbers of larger messages that were never put on a wire."""
        waiting = self._payloads[self.sent - self.acked :]
        return [
            number
            for number, payload in enumerate(waiting, self.sent + 1)
            if size_of(payload) > size
        ]
