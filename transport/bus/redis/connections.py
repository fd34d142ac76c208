"""Connections to Redis that are made again when they break."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from transport.bus import forks

ANSWER_WITHIN = 3.0
"""Seconds in which a connection is made, and in which Redis answers. A connection without answers
is replaced: the way to Redis may be gone without any sign."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts to connect."""

BROKEN = (RedisError, OSError, TimeoutError)
"""What a connection raises that is broken, or cannot be made."""


class Connections(Protocol):
    """Makes connections to one Redis."""

    def make(self) -> AbstractConnection:
        """Return a new connection, which does not connect yet."""
        ...


class PoolConnections:
    """Connections as a pool of redis-py makes them; the pool itself is not used.

    Args:
        pool: has the address, the credentials and the options.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._make = pool.connection_class
        self._options = {
            **pool.connection_kwargs,
            "protocol": 2,  # a message of a channel costs half of what it costs with 3
            "decode_responses": False,
            "socket_timeout": None,
            "socket_connect_timeout": ANSWER_WITHIN,
            "health_check_interval": 0,
            "retry": None,
            "retry_on_error": [],
            "retry_on_timeout": False,
        }

    @classmethod
    def from_url(cls, url: str) -> PoolConnections:
        """Return those to the Redis of a URL, as ``redis://localhost:6379/0``.

        Raises:
            ValueError: it is not one of a Redis.
        """
        return cls(ConnectionPool.from_url(url))

    def make(self) -> AbstractConnection:
        """See `Connections.make`."""
        return self._make(**self._options)


class Reconnecting:
    """A task that has a connection, and another one when it breaks.

    Args:
        connections: makes them.
        serve: uses a connection until it breaks, or this task is cancelled.
        failed: called when a connection has broken, or could not be made.
    """

    def __init__(
        self,
        connections: Connections,
        serve: Callable[[AbstractConnection], Awaitable[None]],
        failed: Callable[[Exception], None],
    ) -> None:
        self._connections = connections
        self._serve = serve
        self._failed = failed
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._pause = 0.0

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        forks.silence_in_child(self)

    def works(self) -> None:
        """Note that the connection is of use: when it breaks, another is made without a pause."""
        self._pause = 0.0

    async def stop(self) -> None:
        """End the connection, and wait for that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def abandon(self) -> None:
        """End the connection when the event loop is closed."""
        if (number := self.fileno()) >= 0:
            with socket.socket(fileno=os.dup(number)) as one, suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """Return the number of the connection's file; -1 if there is none."""
        # redis-py does not give its socket.
        writer = getattr(self._connection, "_writer", None)
        one = writer.get_extra_info("socket") if writer is not None else None
        return int(one.fileno()) if one is not None else -1

    async def _run(self) -> None:
        while True:
            connection = self._connection = self._connections.make()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    await connection.connect()  # type: ignore[no-untyped-call]
                await self._serve(connection)
            except BROKEN as error:
                self._failed(error)
            finally:
                await _disconnect(connection)
            await asyncio.sleep(self._pause)
            self._pause = min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)


async def _disconnect(connection: AbstractConnection) -> None:
    with suppress(*BROKEN):
        await connection.disconnect(nowait=True)


Answered = Callable[[Any], None]
"""Takes the answer to a command: as redis-py returns it, an error of Redis included."""


class Commands:
    """A connection for commands. They are carried out in order, and none waits for another.

    What was not answered when a connection breaks is sent again, in order, on the next one, and
    so may be carried out twice, or late.

    Args:
        connections: makes the connection.
        on_connected: called after each connection but the first.
    """

    def __init__(self, connections: Connections, on_connected: Callable[[], None]) -> None:
        self._line = Reconnecting(connections, self._serve, lambda error: None)
        self._on_connected = on_connected
        self._has_connected = False
        self._waiting: deque[tuple[bytes, Answered]] = deque()
        self._unanswered: deque[tuple[bytes, Answered]] = deque()
        self._wake = asyncio.Event()
        self._answers = 0
        """Those that have come."""
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self) -> None:
        """Begin to connect."""
        self._line.start()

    def send(self, command: bytes, answered: Answered) -> None:
        """Send a command.

        Args:
            command: see `pack`.
            answered: called with the answer.
        """
        self._waiting.append((command, answered))
        self._wake.set()
        self._idle.clear()

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
        self._has_connected = True
        await until_one_ends(self._write(connection), self._read(connection), self._watch())

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
            await connection.send_packed_command(batch, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            try:
                answer = await connection.read_response(disable_decoding=True)
            except ResponseError as error:
                answer = error
            self._answers += 1
            self._line.works()
            _, answered = self._unanswered.popleft()
            if not self._unanswered and not self._waiting:
                self._idle.set()
            answered(answer)

    async def _watch(self) -> None:
        """End the connection if nothing is answered for too long."""
        answers = -1
        while not self._unanswered or answers != self._answers:
            answers = self._answers
            await asyncio.sleep(ANSWER_WITHIN)


class Subscription:
    """A connection that receives what is published on one channel.

    Args:
        connections: makes the connection.
        channel: its name.
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
        received: Callable[[bytes], None],
        on_renewed: Callable[[], None],
    ) -> None:
        self._line = Reconnecting(connections, self._serve, self._failed)
        self._channel = channel
        self._received = received
        self._on_renewed = on_renewed
        self._stale = asyncio.Event()
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_subscribed = False

    def start(self) -> None:
        """Begin to subscribe."""
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

    async def _serve(self, connection: AbstractConnection) -> None:
        self._stale.clear()
        try:
            await until_one_ends(self._read(connection), self._stale.wait())
        finally:
            self.is_subscribed = False

    async def _read(self, connection: AbstractConnection) -> None:
        await connection.send_packed_command([pack(b"SUBSCRIBE", self._channel)])
        async with asyncio.timeout(ANSWER_WITHIN):
            await connection.read_response(disable_decoding=True)
        self.is_subscribed = True
        self._line.works()
        if self.begun.done():
            self._on_renewed()
        else:
            self.begun.set_result(None)
        received = self._received
        while True:
            what, _, data = await connection.read_response(disable_decoding=True)
            if what == b"message":
                received(data)


async def until_one_ends(*jobs: Any) -> None:
    """Run several coroutines until one ends; then cancel the others. Raise what it raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def pack(*words: bytes) -> bytes:
    """Return a command as it is sent to Redis."""
    packed = [b"*%d\r\n" % len(words)]
    packed += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(packed)
