"""`Flow`: frames of one link, of which few are under way at a time in each direction."""

from __future__ import annotations

from collections import deque

from transport.bus.interface import Pipe
from transport.bus.items import Frames, Ready
from transport.protocol.frames import EncodedFrame

MAX_UNDER_WAY = 2
"""Items: one is being taken while the next one travels."""

MAX_ITEM = 65_536
"""Bytes of frames in an item, unless it has only one frame."""


class Flow:
    """Sends frames over a pipe as fast as the other side takes them, in order.

    So a process that takes nothing holds back its own links only, and each link has a bounded part
    of the pipe. What this side has taken is told with the next frames, or when the other side waits
    for it: so a message and its answer take two items, and not four.

    Args:
        pipe: to the other process.
        link: names the connection on the pipe.

    Attributes:
        waiting: bytes that wait.
    """

    __slots__ = ("_link", "_pipe", "_queue", "_taken", "_under_way", "waiting")

    def __init__(self, pipe: Pipe, link: int) -> None:
        self.waiting = 0
        self._pipe = pipe
        self._link = link
        self._queue: deque[EncodedFrame] = deque()
        self._under_way = 0
        self._taken = 0
        """Items of the other direction, since that was told last."""

    def add(self, *frames: EncodedFrame) -> None:
        """Send frames, as soon as the other side takes them."""
        self._queue += frames
        self.waiting += sum(map(len, frames))
        self._send()

    def ready(self, count: int) -> None:
        """Learn that the other side has taken some items."""
        self._under_way -= count
        self._send()

    def took(self) -> None:
        """Learn that this side has taken an item."""
        self._taken += 1
        if self._taken == MAX_UNDER_WAY:
            self._pipe.send(Ready(self._link, self._taken))
            self._taken = 0

    def flush(self) -> None:
        """Send what waits, as the last of this direction: nobody will say that it was taken."""
        while self._queue:
            self._send_item()

    def _send(self) -> None:
        while self._queue and self._under_way < MAX_UNDER_WAY:
            self._send_item()

    def _send_item(self) -> None:
        queue = self._queue
        item: list[EncodedFrame] = []
        size = 0
        while queue and (not item or size + len(queue[0]) <= MAX_ITEM):
            frame = queue.popleft()
            item.append(frame)
            size += len(frame)
        self.waiting -= size
        self._under_way += 1
        self._pipe.send(Frames(self._link, item, self._taken))
        self._taken = 0
