"""`Commands`: what a process asks of Redis, over one connection."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ReadOnlyError, ResponseError

from transport.bus.redis.connections import ANSWER_WITHIN, Reconnecting, until_one_ends
from transport.stores.redis.connections import Connections, send
from transport.stores.redis.faults import explain_error
from transport.telemetry.log import ERROR, log_event

SILENT_TICKS = 3
"""Parts of `ANSWER_WITHIN` without an answer. They are counted, and not the time, because answers
may be there that this process has not read: it stood still."""

Answered = Callable[[Any], None]
"""Takes the answer to a command: as redis-py returns it, an error of Redis included."""


class Commands:
    """A connection for commands. They are carried out in order, and none waits for another.

    What was not answered when a connection breaks is sent again, in order, on the next one, and
    so may be carried out twice, or late.

    Args:
        connections: makes the connection.
        on_connected: called after each connection but the first.

    Attributes:
        logs_refusals: whether what Redis refuses is logged. May be set.
    """

    def __init__(self, connections: Connections, on_connected: Callable[[], None]) -> None:
        self.logs_refusals = False
        self._line = Reconnecting(connections, self._serve, lambda error: None)
        self._on_connected = on_connected
        self._has_connected = False
        self._waiting: deque[tuple[bytes, Answered]] = deque()
        self._unanswered: deque[tuple[bytes, Answered]] = deque()
        self._refusals: set[str] = set()
        """The kinds that were logged."""
        self._wake = asyncio.Event()
        self._answers = 0
        """Those that have come."""
        self._is_answered = False
        """Whether Redis has answered in the last tick, or nothing was asked."""
        self._stalled_at = -math.inf
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to connect."""
        self._line.start()

    def send(self, command: bytes, answered: Answered) -> None:
        """Send a command.

        Args:
            command: see `transport.stores.redis.commands.pack`.
            answered: called with the answer.
        """
        self._waiting.append((command, answered))
        self._wake.set()
        self._idle.clear()

    @property
    def stalled_at(self) -> float:
        """The time of the event loop at which Redis did not answer last; -inf for never."""
        if self._has_connected and not self._is_answered:
            self._stalled_at = asyncio.get_running_loop().time()
        return self._stalled_at

    async def flush(self) -> None:
        """Wait until all commands are answered, if there ever was a connection."""
        if self._has_connected:
            await self._idle.wait()

    async def stop(self) -> None:
        """End the connection; nothing is answered any more."""
        await self._line.stop()

    def abandon(self) -> None:
        """See `Reconnecting.abandon`."""
        self._line.abandon()

    async def _serve(self, connection: AbstractConnection) -> None:
        if self._has_connected:
            self._on_connected()
        else:
            self._has_connected = self._is_answered = True
        try:
            await until_one_ends(self._write(connection), self._read(connection), self._watch())
        finally:
            self._is_answered = False

    async def _write(self, connection: AbstractConnection) -> None:
        self._waiting.extendleft(reversed(self._unanswered))
        self._unanswered.clear()
        while connection.is_connected:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [command for command, _ in self._waiting]
            self._unanswered += self._waiting
            self._waiting.clear()
            await send(connection, batch)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                answer = await connection.read_response(disable_decoding=True)
            except ReadOnlyError:
                raise  # another Redis is in its place now: connect to that
            except ResponseError as error:
                answer = error
                self._log_refusal(error)
            self._answers += 1
            self._line.works()
            _, answered = self._unanswered.popleft()
            if not self._unanswered and not self._waiting:
                self._idle.set()
            answered(answer)

    def _log_refusal(self, error: ResponseError) -> None:
        """Log what Redis refuses, each kind once."""
        text = explain_error(error)
        kind = text.partition(" ")[0]
        if self.logs_refusals and kind not in self._refusals:
            self._refusals.add(kind)
            log_event(
                ERROR,
                "redis_refused",
                "Redis refuses what this process needs to reach the others",
                error=text,
            )

    async def _watch(self) -> None:
        """End the connection if nothing is answered for too long."""
        silent_ticks = answers = 0
        while silent_ticks < SILENT_TICKS:
            is_asked = bool(self._unanswered)
            await asyncio.sleep(ANSWER_WITHIN / SILENT_TICKS)
            silent_ticks = silent_ticks + 1 if is_asked and answers == self._answers else 0
            answers = self._answers
            if silent_ticks or not self._is_answered:
                self._stalled_at = asyncio.get_running_loop().time()
            self._is_answered = not silent_ticks
