"""`RedisPipe`: a pipe over the numbered messages of two processes."""

from __future__ import annotations

from typing import Protocol

from transport.bus.items import Hello, Item, encode_item
from transport.bus.reader import ItemReader, ReaderOwner
from transport.bus.redis.messages import Is


class Owner(ReaderOwner["RedisPipe"], Protocol):
    """What a pipe belongs to: the other process."""

    name: str

    def put(self, pipe: RedisPipe, kind: Is, data: bytes = b"") -> None:
        """Send a part of an item, or the end."""
        ...

    def end_soon(self, pipe: RedisPipe) -> None:
        """Tell the end of a pipe which this process has ended, in a later turn of the loop."""
        ...


class RedisPipe:
    """One end of a pipe. Implements `Pipe`.

    Args:
        owner: see `Owner`.
        id: identifies it among those that its opener has opened.
        hello: the first item that is sent on it.
        is_own: whether this process has opened it.

    Attributes:
        id: see there.
        is_greeted: whether the other side has said its name.
        has_ended: whether its end was told.
    """

    def __init__(self, owner: Owner, id: int, hello: Hello, *, is_own: bool) -> None:
        self.id = id
        self.is_own = is_own
        self.is_open = True
        self.is_greeted = False
        self.has_ended = False
        self.peer = owner.name
        self._owner = owner
        self._reader = ItemReader(owner, self)
        self._pieces: list[bytes] = []
        self.send(hello)

    # `Pipe`

    def send(self, item: Item) -> None:
        """See `Pipe.send`."""
        if self.is_open:
            self._owner.put(self, Is.ITEM, encode_item(item))

    def end(self) -> None:
        """See `Pipe.end`."""
        if self.is_open:
            self.is_open = False
            self._owner.put(self, Is.END)
            self._owner.end_soon(self)

    # Receiving

    def take(self, kind: int, data: bytes) -> None:
        """Take a part of an item."""
        if kind == Is.PIECE:
            self._pieces.append(data)
            return
        if self._pieces:
            data = b"".join((*self._pieces, data))
            self._pieces.clear()
        if not self._reader.read(data):
            self.end()
