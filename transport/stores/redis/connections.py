"""`Connections`: makes connections to one Redis, with redis-py, from a URL or from a client."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from transport.stores.redis.faults import (
    REFUSALS,
    Refused,
    Unreached,
    explain_failure,
    explain_silence,
)

Source: TypeAlias = "str | Redis"
"""Where a Redis is: a URL, or a client of redis-py."""

BROKEN = (RedisError, OSError)
"""What a connection raises that is broken, or that cannot be made."""

_ATTEMPT = 2.5
"""Seconds for a connection to be made: less than the 3 s for which its users wait, so that they
learn why it was not."""


class Connections:
    """Connections to one Redis.

    Of a client only the settings are used, and Sentinel if it has one: each connection asks that
    for the master. redis-py's own retries and deadlines are switched off, because they repeat
    commands out of order; and so are its notifications, which the older protocol does not have.

    Args:
        source: ``redis://``, ``rediss://`` or ``unix://``, with user, password and options as
            redis-py reads them; or a client.

    Raises:
        ValueError: the URL is not one of a Redis.
        TypeError: it is neither a URL nor a client.
    """

    def __init__(self, source: Source) -> None:
        if not isinstance(source, str | Redis):
            raise TypeError(
                "RedisStore takes the URL of a Redis, or a client of redis-py for asyncio "
                f"(redis.asyncio.Redis), and not {type(source).__name__}"
            )
        # With Sentinel a connection refers to the pool, which only the client keeps.
        self._client = source
        pool = _pool_of(source) if isinstance(source, str) else source.connection_pool
        self._make = pool.connection_class
        self._options = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if not name.startswith(("maint", "orig_", "oss_"))
        } | {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": None,
            "socket_connect_timeout": _ATTEMPT,
            "health_check_interval": 0,
            "retry": None,
            "retry_on_error": [],
            "retry_on_timeout": False,
        }
        self._is_encrypted = issubclass(self._make, SSLConnection)
        try:
            self.make()
        except TypeError as error:  # it names the option, and not its value
            raise ValueError(f"redis-py does not take the options of this URL: {error}") from None

    def make(self) -> AbstractConnection:
        """Return a new connection, which does not connect yet."""
        return self._make(**self._options)

    async def connect(self, connection: AbstractConnection) -> None:
        """Connect a new connection, and log in.

        Raises:
            Refused: Redis does not let this process in.
            Unreached: there was no connection in time.
        """
        try:
            async with asyncio.timeout(_ATTEMPT):
                await connection.connect()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise Unreached(
                explain_silence(self._options, seconds=_ATTEMPT, is_encrypted=self._is_encrypted)
            ) from None
        except BROKEN as error:
            reason = explain_failure(error, self._options, is_encrypted=self._is_encrypted)
            kind = Refused if isinstance(error, REFUSALS) else Unreached
            raise kind(reason) from None


async def send(connection: AbstractConnection, commands: Sequence[bytes]) -> None:
    """Send packed commands together.

    Raises:
        RedisError, OSError: the connection is broken, see `BROKEN`.
    """
    try:
        await connection.send_packed_command(commands, check_health=False)
    except RuntimeError as error:  # a transport of uvloop that has closed
        raise ConnectionResetError("the connection has closed") from error


def _pool_of(url: str) -> ConnectionPool:
    """Return the settings that a URL has.

    Raises:
        ValueError: it is not one of a Redis. The text has no part of it: that may be the password.
    """
    try:
        parts = urlsplit(url)
        if "@" in f"{parts.path}{parts.query}{parts.fragment}" and "@" not in parts.netloc:
            raise ValueError  # of a password with such a character, the rest is taken for a path
        return ConnectionPool.from_url(url)
    except ValueError:
        raise ValueError(
            "this is not the URL of a Redis: it is written as rediss://user:password@host:6379/0, "
            "redis://host:6379/0 or unix:///path, and in a user or a password characters such as "
            "/ ? # @ : are percent-encoded, as urllib.parse.quote(password, safe='') does"
        ) from None


def abort(connection: AbstractConnection) -> None:
    """End a connection at once, without waiting until what was sent has left.

    The server may not read: then neither that nor the end of TLS would ever be complete. The event
    loop of the connection may be closed.
    """
    # redis-py only closes it in good order, and in its loop.
    writer: asyncio.StreamWriter | None = getattr(connection, "_writer", None)
    if writer is None:
        return
    connection._writer = connection._reader = None
    try:
        writer.transport.abort()
    except RuntimeError:  # the loop is closed
        number = writer.get_extra_info("socket").fileno()
        if number >= 0:
            with socket.socket(fileno=os.dup(number)) as duplicate, suppress(OSError):
                duplicate.shutdown(socket.SHUT_RDWR)
