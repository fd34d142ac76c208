"""The two halves of a direction: what was sent and not acknowledged, what was received."""

from __future__ import annotations

from transport import codes
from transport.errors import Foreign, Gap, ProtocolError
from transport.limits import Bounds
from transport.protocol.codec import Payload, encode_bytes, encode_data, size_of
from transport.protocol.frames import Wire


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

    def frames(self, cursor: int, ack: int, *, binary: bool) -> list[Wire]:
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

    def _split(self, payloads: list[Payload], cursor: int, ack: int, *, binary: bool) -> list[Wire]:
        limits = self._limits
        wires: list[Wire] = []
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


class WaitingBuffer(SendBuffer):
    """A client's: a message waits in it until it is first put on an attached connection (NUM-2).

    The order decides its number, so `append` can tell it; but what was not put on a wire counts in
    no window, and no mark can cover it.

    Attributes:
        flying: bytes that were put on a wire and are not acknowledged.
        skipped: numbers in whose place a ``skip`` stands (DAT-5).
    """

    __slots__ = ("flying", "skipped")

    def __init__(self, limits: Bounds) -> None:
        super().__init__(limits)
        self.flying = 0
        self.skipped: set[int] = set()

    def agree(self, limits: Bounds) -> None:
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
            or self.flying + size_of(payload) > self._limits.window_bytes
        ):
            return None
        return payload

    def put(self, number: int, size: int) -> None:
        """``number``, of ``size`` bytes, is put on a wire; again, perhaps."""
        if number > self.sent:
            self.sent = number
            self.flying += size

    def acknowledge(self, number: int) -> bool:
        before = self.size
        moved = super().acknowledge(number)
        self.flying -= before - self.size
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

    def above(self, size: int) -> list[int]:
        """The numbers of larger messages that were never put on a wire."""
        waiting = self._payloads[self.sent - self.acked :]
        return [
            number
            for number, payload in enumerate(waiting, self.sent + 1)
            if size_of(payload) > size
        ]


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
