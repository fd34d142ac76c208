"""Connections to Redis for topics; implement `transport.stores.topics.wire`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from transport.limits import Limits
from transport.protocol.topic_log import Reading, decode_entry
from transport.stores.journaled import Failed
from transport.stores.redis import faults
from transport.stores.redis.commands import pack
from transport.stores.redis.connections import BROKEN, Connections, abort, send
from transport.stores.redis.faults import explain_error
from transport.stores.redis.keys import Keys
from transport.stores.redis.scripts import Script, Scripts
from transport.stores.redis.topic_commands import (
    TopicCommands,
    read_appended,
    read_dismissals,
    read_readings,
)
from transport.stores.topics.wire import (
    Answer,
    Append,
    Arrived,
    Broken,
    Echo,
    Notice,
    Refused,
    Subscribed,
)


class _Wire:
    """A connection that is dropped when anything about it fails."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: AbstractConnection | None = None

    async def _connect(self) -> None:
        self.drop()
        connection = self._connection = self._connections.make()
        try:
            await self._connections.connect(connection)
        except (faults.Refused, faults.Unreached) as error:
            self.drop()
            kind = Refused if isinstance(error, faults.Refused) else Broken
            raise kind(str(error)) from None

    def drop(self) -> None:
        if self._connection is not None:
            abort(self._connection)
            self._connection = None

    async def _send(self, *commands: bytes) -> AbstractConnection:
        connection = self._connection
        if connection is None:
            raise Broken("not connected")
        try:
            await send(connection, commands)
        except BROKEN as error:
            raise Broken(explain_error(error)) from None
        return connection

    async def _receive(self, connection: AbstractConnection) -> Any:
        """Return the next reply; an error of Redis is returned, too."""
        try:
            return await connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error
        except BROKEN as error:
            raise Broken(explain_error(error)) from None

    async def _ask(self, *commands: bytes) -> list[Any]:
        connection = await self._send(*commands)
        return [await self._receive(connection) for _ in commands]


class RedisPublishWire(_Wire):
    """Implements `PublishWire`.

    Args:
        connections: to the Redis.
        commands: for the topics of the hub.
        script: publishes.
    """

    def __init__(self, connections: Connections, commands: TopicCommands, script: Script) -> None:
        super().__init__(connections)
        self._commands = commands
        self._script = script

    async def connect(self) -> int:
        """See `PublishWire.connect`."""
        await self._connect()
        _, (seconds, microseconds) = map(
            _accepted, await self._ask(self._script.load, pack("TIME"))
        )
        return int(seconds) * 1_000_000 + int(microseconds)

    async def publish(self, appends: Sequence[Append]) -> Sequence[Answer]:
        """See `PublishWire.publish`."""
        replies = await self._ask(*map(self._commands.publish, appends))
        return [_failure(reply) or read_appended(_accepted(reply)) for reply in replies]


class RedisReadWire(_Wire):
    """Implements `ReadWire`.

    Args:
        connections: to the Redis.
        commands: for the topics of the hub.
        script: reads topics.
        echo: the channel for echoes.
    """

    def __init__(
        self,
        connections: Connections,
        commands: TopicCommands,
        script: Script,
        echo: bytes,
    ) -> None:
        super().__init__(connections)
        self._commands = commands
        self._script = script
        self._echo = echo

    async def connect(self) -> None:
        """See `ReadWire.connect`."""
        await self._connect()
        for reply in await self._ask(self._script.load):
            _accepted(reply)

    async def read(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reading | Failed]:
        """See `ReadWire.read`."""
        [reply] = await self._ask(self._commands.read(asked))
        return read_readings(_accepted(reply))

    async def dismissals(self, subjects: Sequence[str]) -> Sequence[int]:
        """See `ReadWire.dismissals`."""
        [reply] = await self._ask(self._commands.dismissals(subjects))
        return read_dismissals(_accepted(reply))

    async def echo(self, token: str) -> None:
        """See `ReadWire.echo`."""
        [reply] = await self._ask(pack("PUBLISH", self._echo, token))
        _accepted(reply)


class RedisSubscribeWire(_Wire):
    """Implements `SubscribeWire`.

    Args:
        connections: to the Redis.
        commands: for the topics of the hub.
        echo: the channel for echoes.
    """

    def __init__(self, connections: Connections, commands: TopicCommands, echo: bytes) -> None:
        super().__init__(connections)
        self._commands = commands
        self._echo = echo
        self._topics: dict[bytes, str] = {}
        """By their channels; those that are still unsubscribed from are among them."""
        self._unconfirmed: Counter[bytes] = Counter()
        """How often a channel was subscribed to, and that has not been confirmed."""

    async def connect(self) -> None:
        """See `SubscribeWire.connect`."""
        await self._connect()
        self._topics.clear()
        self._unconfirmed.clear()
        await self._send(pack("SUBSCRIBE", self._echo))

    async def subscribe(self, topics: Sequence[str]) -> None:
        """See `SubscribeWire.subscribe`."""
        channels = {self._commands.channel(topic): topic for topic in topics}
        self._topics |= channels
        self._unconfirmed.update(channels.keys())
        await self._send(pack("SUBSCRIBE", *channels))

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """See `SubscribeWire.unsubscribe`."""
        await self._send(pack("UNSUBSCRIBE", *map(self._commands.channel, topics)))

    async def receive(self) -> Notice:
        """See `SubscribeWire.receive`."""
        while True:
            if self._connection is None:
                raise Broken("not connected")
            kind, channel, content = _accepted(await self._receive(self._connection))
            if channel == self._echo:
                if kind == b"message":
                    return Echo(content.decode())
            elif (topic := self._topics.get(channel)) is not None:
                match kind:
                    case b"message":
                        with suppress(ValueError):  # what others write there is found by a read
                            return Arrived(topic, decode_entry(content))
                    case b"subscribe":
                        self._unconfirmed[channel] -= 1
                        return Subscribed(topic)
                    case b"unsubscribe" if not self._unconfirmed[channel]:
                        del self._topics[channel], self._unconfirmed[channel]


class RedisTopics:
    """Makes the connections of one process; implements `TopicStore`.

    Args:
        connections: to the Redis.
        keys: the names of the keys.
        hub: the name of the hub.
        limits: those of the hub.
    """

    def __init__(self, connections: Connections, keys: Keys, hub: str, limits: Limits) -> None:
        self._connections = connections
        self._scripts = Scripts.read()
        self._commands = TopicCommands(self._scripts, keys, hub, limits)
        self._echo = self._commands.echo_channel(token_hex(6))

    def publish_wire(self) -> RedisPublishWire:
        """See `TopicStore.publish_wire`."""
        return RedisPublishWire(self._connections, self._commands, self._scripts.publish)

    def read_wire(self) -> RedisReadWire:
        """See `TopicStore.read_wire`."""
        script = self._scripts.read_topics
        return RedisReadWire(self._connections, self._commands, script, self._echo)

    def subscribe_wire(self) -> RedisSubscribeWire:
        """See `TopicStore.subscribe_wire`."""
        return RedisSubscribeWire(self._connections, self._commands, self._echo)


def _failure(reply: Any) -> Failed | None:
    """Return the error of one topic, which does not concern others."""
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return Failed(explain_error(reply))
    return None


def _accepted(reply: Any) -> Any:
    """Return a reply that is no error. Raises `Refused` if it is one."""
    if isinstance(reply, ResponseError):
        raise Refused(explain_error(reply))
    return reply
