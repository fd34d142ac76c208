"""`WaitingBuffer`: the client's send buffer, in which messages wait for their numbers."""

from __future__ import annotations

from transport.limits import Bounds
from transport.protocol.codec import Payload, size_of
from transport.protocol.send_buffer import SendBuffer


class WaitingBuffer(SendBuffer):
    """A send buffer in which a message waits until it is first written to a connection (NUM-2).

    The order of messages decides their numbers, so `append` returns one at once. A message that was
    never written counts in no window, and no mark can cover it.

    Attributes:
        in_flight: bytes that were written and are not acknowledged.
        skipped: numbers that are written as a ``skip``, without their message (DAT-5).
    """

    __slots__ = ("in_flight", "skipped")

    def __init__(self, limits: Bounds) -> None:
        super().__init__(limits)
        self.in_flight = 0
        self.skipped: set[int] = set()

    def set_limits(self, limits: Bounds) -> None:
        """Use these limits, once the server has advertised them."""
        self._limits = limits

    def peek(self, number: int) -> Payload | None:
        """Return the message that may be written as ``number``, if any.

        Args:
            number: a number at or above the first that is kept.

        Returns:
            None if there is no such message, or the window is full (DAT-6).
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

    def mark_written(self, number: int, size: int) -> None:
        """Record that ``number``, of ``size`` bytes, is written, possibly again."""
        if number > self.sent:
            self.sent = number
            self.in_flight += size

    def acknowledge(self, number: int) -> bool:
        before = self.size
        moved = super().acknowledge(number)
        self.in_flight -= before - self.size
        return moved

    def skip(self, number: int) -> int | None:
        """Replace a message by a ``skip``.

        Returns:
            The size of the message; None if the number has no message, or it was skipped before.
        """
        if not self.acked < number <= self.last or number in self.skipped:
            return None
        self.skipped.add(number)
        return size_of(self._payloads[number - self.acked - 1])

    def waiting_above(self, size: int) -> list[int]:
        """Return the numbers of messages above ``size`` that were never written."""
        waiting = self._payloads[self.sent - self.acked :]
        return [
            number
            for number, payload in enumerate(waiting, self.sent + 1)
            if size_of(payload) > size
        ]
