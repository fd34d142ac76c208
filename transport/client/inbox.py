"""`Inbox`: the messages that the application has not taken yet, and the task that waits for one."""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Raw

from transport.client.pacing import Pacing
from transport.errors import Busy, ChannelClosed, SessionReset
from transport.protocol.client.events import Closed, Messages
from transport.protocol.codec import decode_message, undecoded
from transport.protocol.frames import Json
from transport.waiting import resolve


class Inbox:
    """Messages in order, with a `SessionReset` after the last message of a session.

    Attributes:
        received: how many messages have arrived.
        handled: how many of these the application has finished: it has asked for the next one.
    """

    def __init__(self, pacing: Pacing) -> None:
        self.received = 0
        self.handled = 0
        self._taken = 0
        self._pacing = pacing
        self._queue: deque[Json | SessionReset] = deque()
        """As `undecoded` keeps messages, save one for which a task waits."""
        self._size = 0.0
        """Bytes in the queue, approximately."""
        self._receiver: asyncio.Future[None] | None = None
        self._ending: Closed | None = None

    def put(self, event: Messages) -> None:
        """Add messages."""
        messages = event.messages
        self.received += len(messages)
        self._size += event.size
        if self._receiver is not None and not self._queue:
            self._queue.append(messages[0])
            messages = messages[1:]
        if messages:
            self._queue.extend(undecoded(messages, event.text))
        resolve(self._receiver)

    def put_reset(self, reset: SessionReset) -> None:
        """Mark the end of a session: later messages belong to the next."""
        self._queue.append(reset)
        resolve(self._receiver)

    def end(self, ending: Closed) -> None:
        """Record the end of the channel: nothing more is added."""
        self._ending = ending
        resolve(self._receiver)

    @property
    def is_flooded(self) -> bool:
        """Whether the queue exceeds the bounds of `Pacing`."""
        pacing = self._pacing
        return len(self._queue) > pacing.queue_messages or self._size > pacing.queue_bytes

    async def receive(self) -> Json:
        """Return the next message; see `Channel.receive`. Cancellation-safe: no message is lost."""
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
        # An average message is accurate enough for a bound.
        self._size -= self._size / len(self._queue)
        message = self._queue.popleft()
        if isinstance(message, SessionReset):
            raise message
        self._taken += 1
        return decode_message(message) if type(message) is Raw else message
