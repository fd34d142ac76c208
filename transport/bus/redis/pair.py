"""`Pair`: the two numbered streams between two processes, one each way.

Redis passes on what is published, in order, to those that subscribe at that moment; it keeps
nothing and tells nobody that something was lost. So messages with parts are numbered. While nothing
is missing, an *epoch* lasts. The side that notices a loss ends it: both sides drop what they have,
and end their pipes.

One of the two processes, the one with the lower name, begins epochs. It publishes the epoch without
parts (number 0) until the other side answers in it. The other side asks for a new one by BROKEN,
until it gets one. Neither sends parts before it knows that the other has the same epoch, so a
process that takes nothing costs Redis nothing.

What is sent is acknowledged: a bounded number of bytes is under way. So a subscriber that reads
slowly is slowed down, and is not cut off by Redis for its buffer. A side whose parts were not
acknowledged for a second asks for that; and so the loss of a last message is noticed.

A message may also come twice, or late: a process publishes again, in order, what Redis has not
answered when the connection broke. That is no loss, and is ignored.

Pure: it posts messages through its owner, and knows no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from transport.bus.redis.messages import VERSION, Is, Kind, Message, Part

WINDOW = 2**21
"""Bytes that are under way to one process. Redis cuts a subscriber off for which 32 MiB wait, so
some 16 processes may send to one at their full rate."""

PIECE = 2**18
"""Bytes of a message, about; a longer item is sent in pieces."""

_OVERHEAD = 128
"""Bytes that a part takes beside its item, about: in memory, which is what the bounds are for."""


class Owner(Protocol):
    """What a `Pair` belongs to."""

    def post(self, message: Message) -> None:
        """Publish a message to the other process."""
        ...

    def began(self) -> None:
        """Learn that an epoch has begun: parts can pass."""
        ...

    def cut(self) -> None:
        """Learn that an epoch has ended: what was sent and not acknowledged may be lost."""
        ...


class Pair:
    """One side of the streams between two processes.

    Args:
        name: of this process.
        is_leading: whether this process begins the epochs.
        epochs: numbers for them, each higher than those before.
        owner: see `Owner`.

    Attributes:
        is_bound: whether both sides are in the epoch.
        epoch: the present one; between two, the last one; 0 before the first.
        sent: the number of the last message with parts.
        acked: the number of the last one that the other side has taken.
        acked_bytes: what it has taken in this epoch.
        unacked_bytes: what waits, and is under way.
    """

    def __init__(self, name: str, is_leading: bool, epochs: Iterator[int], owner: Owner) -> None:
        self._name = name
        self._is_leading = is_leading
        self._epochs = epochs
        self._owner = owner
        self.is_bound = False
        self.epoch = next(epochs) if is_leading else 0
        self._reset()

    def _reset(self) -> None:
        self.is_bound = False
        self.sent = self.acked = self._taken = 0
        self.acked_bytes = self.unacked_bytes = 0
        self._waiting: deque[Part] = deque()
        self._under_way: deque[int] = deque()
        """The sizes of the messages that are not acknowledged."""
        self._under_way_bytes = 0
        self._taken_bytes = 0
        """Since this side has last told what it has taken."""

    @property
    def is_waiting(self) -> bool:
        """Whether something was not sent yet."""
        return bool(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether the other side has taken everything."""
        return not self._waiting and self.acked == self.sent

    # Sending

    def put(self, pipe: int, kind: Is, data: bytes = b"") -> None:
        """Let something be sent by the next `flush`, or when there is an epoch."""
        begin = 0
        while len(data) - begin > PIECE:
            self._put((pipe, Is.PIECE, data[begin : begin + PIECE]))
            begin += PIECE
        self._put((pipe, kind, data[begin:]))

    def _put(self, part: Part) -> None:
        self._waiting.append(part)
        self.unacked_bytes += _size(part)

    def flush(self) -> None:
        """Send what waits, as far as the window allows."""
        if not self.is_bound:
            return
        while self._waiting and self._under_way_bytes < WINDOW:
            parts: list[Part] = []
            size = 0
            while self._waiting and size < PIECE:
                part = self._waiting.popleft()
                parts.append(part)
                size += _size(part)
            self.sent += 1
            self._under_way.append(size)
            self._under_way_bytes += size
            self._post(parts=parts)

    def begin(self) -> None:
        """Begin an epoch, or ask for one; again, as the message may be lost."""
        if self._is_leading:
            self._post(asks=True)
        else:
            self._owner.post(Message(VERSION, self._name, Kind.BROKEN, self.epoch))

    def ask(self) -> None:
        """Ask the other side what it has taken, unless it has told."""
        if self.acked < self.sent:
            self._post(asks=True)

    def tell(self) -> None:
        """Tell the other side what was taken."""
        self._post()

    def say_bye(self) -> None:
        """Tell the other side that this process is gone; it answers what it has taken."""
        bye = Message(VERSION, self._name, Kind.BYE, self.epoch, self.sent, self._taken)
        self._owner.post(bye)

    def _post(self, *, asks: bool = False, parts: list[Part] | None = None) -> None:
        self._taken_bytes = 0
        self._owner.post(
            Message(
                VERSION,
                self._name,
                Kind.DATA,
                self.epoch,
                self.sent,
                self._taken,
                asks,
                parts or [],
            )
        )

    # Cutting

    def cut(self) -> None:
        """End the epoch. It is for the caller to `begin` another, at once or later."""
        if self._is_leading:
            self.epoch = next(self._epochs)
        self._reset()
        self._owner.cut()

    def _broken(self) -> None:
        self.cut()
        self.begin()

    # Receiving

    def received(self, message: Message) -> list[Part]:
        """Take a message; return its parts if they are next."""
        if message.kind is Kind.BROKEN:
            self._asked_to_begin(message.epoch)
            return []
        if not (self._is_in_epoch(message) and self._is_next(message)):
            return []
        self._acknowledged(message.acked)
        parts = message.parts if message.number > self._taken else []
        if parts:
            self._taken += 1
            self._taken_bytes += sum(map(_size, parts))
        if message.asks or self._taken_bytes >= WINDOW // 4:
            self.tell()
        self.flush()
        return parts

    def _asked_to_begin(self, epoch: int) -> None:
        if not self._is_leading:
            return  # a defect of the other side
        if epoch == self.epoch or (epoch == 0 and self.is_bound):
            self._broken()
        elif not self.is_bound:
            self.begin()

    def _is_in_epoch(self, message: Message) -> bool:
        """Return whether a message is one of the present epoch, which it may begin."""
        if self._is_leading:
            if message.epoch != self.epoch:
                return False  # the other side learns of the present one
            if not self.is_bound:
                self._bind()
        elif message.epoch > self.epoch:
            if self.is_bound:
                self.cut()
            self.epoch = message.epoch
            if message.number != 0:  # what began it was lost
                self.begin()
                return False
            self._bind()
        return self.is_bound and message.epoch == self.epoch

    def _bind(self) -> None:
        self.is_bound = True
        self._owner.began()

    def _is_next(self, message: Message) -> bool:
        """Return whether nothing is missing before a message."""
        expected = self._taken + bool(message.parts)
        if message.number > expected:
            self._broken()
            return False
        return True

    def _acknowledged(self, number: int) -> None:
        for _ in range(min(number, self.sent) - self.acked):
            size = self._under_way.popleft()
            self._under_way_bytes -= size
            self.unacked_bytes -= size
            self.acked_bytes += size
            self.acked += 1


def _size(part: Part) -> int:
    return len(part[2]) + _OVERHEAD
