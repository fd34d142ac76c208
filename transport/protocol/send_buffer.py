"""`SendBuffer`: numbered messages, kept until the other side has acknowledged them."""

from __future__ import annotations

from transport.errors import Foreign
from transport.limits import Bounds
from transport.protocol.codec import Payload, encode_bytes, encode_data, size_of
from transport.protocol.frames import EncodedFrame


class SendBuffer:
    """Numbered messages, kept until the other side has acknowledged them (NUM-4).

    Bounded by the window (DAT-6): `has_room` says whether one more fits. What is written to a
    connection is a view from its cursor, never a removal.

    Attributes:
        acked: the highest number that is acknowledged.
        last: the highest number given.
        sent: the highest number that was ever put on a wire.
        size: bytes held.
    """

    __slots__ = ("_binaries", "_limits", "_payloads", "acked", "last", "sent", "size")

    def __init__(self, limits: Bounds) -> None:
        self._limits = limits
        self._payloads: list[Payload] = []
        self._binaries = 0
        self.acked = 0
        self.last = 0
        self.sent = 0
        self.size = 0

    def has_room(self, size: int) -> bool:
        """Whether a message of ``size`` bytes fits the window; an empty one takes any."""
        held = self.last - self.acked
        return not held or (
            held < self._limits.window_messages and self.size + size <= self._limits.window_bytes
        )

    def append(self, payload: Payload, size: int) -> int:
        """Keep a message of ``size`` bytes and give it its number."""
        self._payloads.append(payload)
        self.size += size
        if type(payload) is bytes:
            self._binaries += 1
        self.last += 1
        return self.last

    def check(self, number: int) -> None:
        """Whether a mark can be of this session.

        Raises:
            Foreign: the number was never put on a wire (MRK-5).
        """
        if number > self.sent:
            raise Foreign

    def acknowledge(self, number: int) -> bool:
        """Forget what the other side holds.

        Returns:
            Whether the mark moved; one at or below the last is ignored (MRK-4).

        Raises:
            Foreign: see `check`.
        """
        self.check(number)
        if number <= self.acked:
            return False
        payloads = self._payloads
        count = number - self.acked
        if count == len(payloads):
            payloads.clear()
            self.size = self._binaries = 0
        else:
            for payload in payloads[:count]:
                self.size -= size_of(payload)
                if type(payload) is bytes:
                    self._binaries -= 1
            del payloads[:count]
        self.acked = number
        return True

    def frames(self, cursor: int, ack: int, *, binary: bool) -> list[EncodedFrame]:
        """Everything from number ``cursor`` on, as few frames as limits allow (DAT-1).

        Args:
            cursor: the first number to write, above ``acked``.
            ack: our mark of the other direction, which each frame carries.
            binary: whether the connection has binary frames (DAT-2).
        """
        begin = cursor - self.acked - 1
        payloads = self._payloads[begin:] if begin else self._payloads
        self.sent = self.last
        limits = self._limits
        # The plain case first: one frame holds all.
        count = len(payloads)
        if not self._binaries and count <= limits.batch and self.size + count <= limits.message:
            return [encode_data(cursor, ack, payloads)] if payloads else []  # type: ignore[arg-type]
        return self._split(payloads, cursor, ack, binary=binary)

    def _split(
        self, payloads: list[Payload], cursor: int, ack: int, *, binary: bool
    ) -> list[EncodedFrame]:
        limits = self._limits
        wires: list[EncodedFrame] = []
        batch: list[str] = []
        size = 0

        def flush() -> None:
            nonlocal cursor, size
            if batch:
                wires.append(encode_data(cursor, ack, batch))
                cursor += len(batch)
                batch.clear()
                size = 0

        for payload in payloads:
            if type(payload) is bytes:
                flush()
                wires.append(encode_bytes(cursor, ack, payload, binary=binary))
                cursor += 1
                continue
            more = size_of(payload) + 1
            if batch and (len(batch) == limits.batch or size + more > limits.message):
                flush()
            batch.append(payload)  # type: ignore[arg-type]
            size += more
        flush()
        return wires
