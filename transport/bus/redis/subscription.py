"""`Subscription`: what a process receives from Redis, over one connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection

from transport.bus.redis.commands import Commands
from transport.bus.redis.connections import ANSWER_WITHIN, Reconnecting, until_one_ends
from transport.stores.redis.commands import pack
from transport.stores.redis.connections import Connections, send

SILENT_TICKS = 2
"""Ticks of a second without any message, after one that a process has sent to itself."""

_CHECK = b"check "


class Subscription:
    """A connection that receives what is published on one channel.

    Args:
        connections: makes the connection.
        channel: its name.
        commands: over another connection, to check that this one still receives: it can be
            healthy, and lead to a Redis that is no longer the one to which others publish.
        received: called with each message.
        on_renewed: called after each subscription but the first: something may be lost.

    Attributes:
        begun: done when this process has subscribed once; or why it could not.
        is_subscribed: whether it does now, as far as is known.
    """

    def __init__(
        self,
        connections: Connections,
        channel: bytes,
        commands: Commands,
        received: Callable[[bytes], None],
        on_renewed: Callable[[], None],
    ) -> None:
        self._line = Reconnecting(connections, self._serve, self._failed)
        self._channel = channel
        self._commands = commands
        self._check = _Check()
        self._received = received
        self._on_renewed = on_renewed
        self._stale = asyncio.Event()
        self.begun: asyncio.Future[None]
        self.is_subscribed = False
        self._stalled_at = -math.inf

    @property
    def stalled_at(self) -> float:
        """The time of the event loop at which nothing could arrive last; -inf for never."""
        if self.begun.done() and not self.is_subscribed:
            self._stalled_at = asyncio.get_running_loop().time()
        return self._stalled_at

    def start(self) -> None:
        """Begin to subscribe."""
        self.begun = asyncio.get_running_loop().create_future()
        self._line.start()

    def renew(self) -> None:
        """Subscribe again, over another connection."""
        self._stale.set()

    async def stop(self) -> None:
        """End the connection."""
        await self._line.stop()

    def abandon(self) -> None:
        """See `Reconnecting.abandon`."""
        self._line.abandon()

    def _failed(self, error: Exception) -> None:
        if not self.begun.done():
            self.begun.set_exception(error)
            self.begun.exception()  # perhaps nobody waits for it any more

    async def _serve(self, connection: AbstractConnection) -> None:
        self._stale.clear()
        try:
            await until_one_ends(self._read(connection), self._stale.wait())
        finally:
            self.is_subscribed = False

    async def _read(self, connection: AbstractConnection) -> None:
        await send(connection, [pack(b"SUBSCRIBE", self._channel)])
        async with asyncio.timeout(ANSWER_WITHIN):
            await connection.read_response(disable_decoding=True)
        self.is_subscribed = True
        self._line.works()
        self._check.reset()
        if self.begun.done():
            self._on_renewed()
        else:
            self.begun.set_result(None)
        received = self._received
        while True:
            what, _, data = await connection.read_response(disable_decoding=True)
            self._check.silent_ticks = 0
            if what != b"message":
                continue
            if data.startswith(_CHECK):
                self._check.came_back(data)
            else:
                received(data)

    def tick(self) -> None:
        """Subscribe again if what was sent to this process does not come back.

        Called once in a second.
        """
        if not self.is_subscribed:
            return
        data = self._check.next()
        if data is None:
            self.renew()
        elif data:
            self._commands.send(pack(b"PUBLISH", self._channel, data), self._checked)

    def _checked(self, answer: Any) -> None:
        self._check.answered()
        if answer == 0 and self._check.is_due:
            self.renew()


class _Check:
    """Numbers what a process sends to itself.

    Attributes:
        silent_ticks: since Redis has passed on the last one, or anything was received.
    """

    def __init__(self) -> None:
        self._count = 0
        self._sent = self._came_back = _CHECK
        self._is_answered = True
        self.silent_ticks = 0

    @property
    def is_due(self) -> bool:
        """Whether the last one has yet to come."""
        return self._came_back != self._sent

    def next(self) -> bytes | None:
        """Return what is to be sent now; nothing if the last has yet to come; None if it is lost.

        Called once in a tick. It counts no time: after this process stood still, what has come back
        is read before the next tick. Nor is it impatient while other messages are before it.
        """
        if not self.is_due:
            self._count += 1
            self._sent = _CHECK + b"%d" % self._count
            self.silent_ticks = 0
            self._is_answered = False
            return self._sent
        self.silent_ticks += self._is_answered
        return None if self.silent_ticks >= SILENT_TICKS else b""

    def answered(self) -> None:
        """Learn that Redis has passed on the last one."""
        self._is_answered = True

    def came_back(self, data: bytes) -> None:
        """Learn what has come back."""
        if data == self._sent:
            self._came_back = data

    def reset(self) -> None:
        """Wait no longer for the last one: the subscription is new."""
        self._came_back = self._sent
