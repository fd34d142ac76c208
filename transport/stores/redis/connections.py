"""`Connections`: makes connections to one Redis, with redis-py, from a URL or from a client."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TypeAlias

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

Source: TypeAlias = "str | Redis"
"""Where a Redis is: a URL, or a client of redis-py."""

BROKEN = (RedisError, OSError)
"""What a connection raises that is broken, or that cannot be made."""

_ATTEMPT = 3.0
"""Seconds for a connection to be made; who uses it has deadlines for everything else."""


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
        pool = (
            ConnectionPool.from_url(source) if isinstance(source, str) else source.connection_pool
        )
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

    def make(self) -> AbstractConnection:
        """Return a new connection, which does not connect yet."""
        return self._make(**self._options)


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


def text_of(error: ResponseError) -> str:
    """Return the error of the server with its code, which redis-py takes away if it knows it."""
    if type(error) is ResponseError:
        return str(error)
    code = getattr(error, "status_code", None) or type(error).__name__  # which older ones have not
    return f"{code} {error}"
