"""`SendBuffer`: numbered messages, kept until the other side acknowledges them."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof

from transport.errors import ForeignAck
from transport.limits import Bounds
from transport.protocol.codec import Payload, encode_bytes, encode_data, size_of
from transport.protocol.frames import EncodedFrame


class SendBuffer:
    """A buffer of numbered messages that the other side has not acknowledged (NUM-4).

    It is bounded by the window (DAT-6): `has_room` tells whether one more message fits. Each
    connection reads it from a cursor of its own; only an ack removes messages.

    Attributes:
        acked: the highest number that was acknowledged.
        last: the number of the newest message.
        shown: the number of the newest message that may be written to a connection: `last`, unless
            a store keeps the session.
        is_journaled: whether one does. Then `shown` moves once the store has the messages.
        sent: the highest number that was ever written to a connection.
        size: the bytes of the messages in the buffer.
        excess: the bytes that they take in memory above that, approximately: in a str of Python,
            one emoji makes four bytes of every character.
    """

    __slots__ = (
        "_binaries",
        "_limits",
        "_payloads",
        "acked",
        "excess",
        "is_journaled",
        "last",
        "sent",
        "shown",
        "size",
    )

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        self._payloads: list[Payload] = []
        self._binaries = 0
        self.acked = 0
        self.last = 0
        self.shown = 0
        self.is_journaled = False
        self.sent = 0
        self.size = 0
        self.excess = 0

    def has_room(self, size: int, messages: int = 1) -> bool:
        """Return whether messages of ``size`` bytes together fit.

        An empty buffer takes a single message of any size.
        """
        held = self.last - self.acked + messages - 1
        return not held or (
            held < self._limits.window_messages and self.size + size <= self._limits.window_bytes
        )

    def append(self, payload: Payload, size: int) -> int:
        """Add a message of ``size`` bytes, and return its number."""
        self._payloads.append(payload)
        self.size += size
        if len(payload) != size:
            self.excess += _excess(payload, size)
        if type(payload) is bytes:
            self._binaries += 1
        self.last = number = self.last + 1
        if not self.is_journaled:
            self.shown = number
        return number

    def check_ack(self, number: int) -> None:
        """Check that an ack can belong to this session.

        Raises:
            ForeignAck: the number was never written to a connection (MRK-5).
        """
        if number > self.sent:
            raise ForeignAck

    def acknowledge(self, number: int) -> bool:
        """Remove the messages that an ack covers.

        Returns:
            Whether there were any: an ack at or below the last one is ignored (MRK-4).

        Raises:
            ForeignAck: see `check_ack`.
        """
        self.check_ack(number)
        if number <= self.acked:
            return False
        payloads = self._payloads
        count = number - self.acked
        if count == len(payloads):
            self.clear()
        else:
            for payload in payloads[:count]:
                size = size_of(payload)
                self.size -= size
                self.excess -= _excess(payload, size)
                if type(payload) is bytes:
                    self._binaries -= 1
            del payloads[:count]
        self.acked = number
        return True

    def clear(self) -> None:
        """Remove every message; the marks stay."""
        self._payloads.clear()
        self.size = self.excess = self._binaries = 0

    def payloads(self, first: int, last: int) -> tuple[Payload, ...]:
        """Return the messages ``first`` to ``last``, for a store; none is below ``acked``."""
        return tuple(self._payloads[first - self.acked - 1 : last - self.acked])

    def restore(self, acked: int, payloads: Iterable[Payload]) -> None:
        """Continue a buffer that a store has kept, with the messages above ``acked``.

        Every one of them counts as written, as it may have been.
        """
        self.acked = self.last = acked
        for payload in payloads:
            self.append(payload, size_of(payload))
        self.shown = self.sent = self.last

    def frames(self, cursor: int, ack: int, *, binary: bool) -> list[EncodedFrame]:
        """Return the messages from ``cursor`` to `shown`, in as few frames as possible (DAT-1).

        Args:
            cursor: the first number to write, above ``acked``.
            ack: our ack of the other direction, which each frame carries.
            binary: whether the connection has binary frames (DAT-2).
        """
        begin = cursor - self.acked - 1
        payloads = self._payloads
        self.sent = shown = self.shown
        if begin or shown != self.last:
            payloads = payloads[begin : shown - self.acked]
        limits = self._limits
        # Fast path: all fit one frame.
        count = len(payloads)
        if not self._binaries and count <= limits.batch and self.size + count <= limits.message:
            return [encode_data(cursor, ack, payloads)] if payloads else []  # type: ignore[arg-type]
        return self._split(payloads, cursor, ack, binary=binary)

    def _split(
        self, payloads: list[Payload], cursor: int, ack: int, *, binary: bool
    ) -> list[EncodedFrame]:
        limits = self._limits
        frames: list[EncodedFrame] = []
        batch: list[str] = []
        size = 0

        def flush() -> None:
            nonlocal cursor, size
            if batch:
                frames.append(encode_data(cursor, ack, batch))
                cursor += len(batch)
                batch.clear()
                size = 0

        for payload in payloads:
            if type(payload) is bytes:
                flush()
                frames.append(encode_bytes(cursor, ack, payload, binary=binary))
                cursor += 1
                continue
            more = size_of(payload) + 1
            if batch and (len(batch) == limits.batch or size + more > limits.message):
                flush()
            batch.append(payload)  # type: ignore[arg-type]
            size += more
        flush()
        return frames


def _excess(payload: Payload, size: int) -> int:
    """Return the bytes that a message of ``size`` takes in memory above that."""
    return max(0, getsizeof(payload) - size) if len(payload) != size else 0
