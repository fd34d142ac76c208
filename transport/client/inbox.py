"""`Inbox`: what was received and not yet taken, and the one task that may wait for it."""

from __future__ import annotations

import asyncio
from collections import deque

from transport.client.pacing import Pacing
from transport.errors import Busy, ChannelClosed, SessionReset
from transport.protocol.client.events import Closed, Messages
from transport.protocol.frames import Json
from transport.waiting import resolve


class Inbox:
    """Messages in order; a `SessionReset` stands where its session ended.

    Attributes:
        received: messages that came in.
        handled: of these, finished by the application: it asked for the next, or went on.
    """

    def __init__(self, pacing: Pacing) -> None:
        self.received = 0
        self.handled = 0
        self._taken = 0
        self._pacing = pacing
        self._queue: deque[Json | SessionReset] = deque()
        self._size = 0.0
        """Bytes of it."""
        self._receiver: asyncio.Future[None] | None = None
        self._ending: Closed | None = None

    def put(self, event: Messages) -> None:
        """Messages have come."""
        self.received += len(event.messages)
        self._queue.extend(event.messages)
        self._size += event.size
        resolve(self._receiver)

    def put_reset(self, reset: SessionReset) -> None:
        """What comes from now on is of another session."""
        self._queue.append(reset)
        resolve(self._receiver)

    def end(self, ending: Closed) -> None:
        """Nothing comes any more."""
        self._ending = ending
        resolve(self._receiver)

    @property
    def is_flooded(self) -> bool:
        """Whether more waits than may wait."""
        pacing = self._pacing
        return len(self._queue) > pacing.queue_messages or self._size > pacing.queue_bytes

    async def receive(self) -> Json:
        """The next message; see `Channel.receive`. Cancelled, it has taken none."""
        if self._receiver is not None:
            raise Busy("another task is in receive() on this channel")
        self.handled = self._taken
        while not self._queue:
            if self._ending is not None:
                raise ChannelClosed(self._ending.code, self._ending.reason)
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        # Its share of what is queued is near enough for a bound.
        self._size -= self._size / len(self._queue)
        message = self._queue.popleft()
        if isinstance(message, SessionReset):
            raise message
        self._taken += 1
        return message
