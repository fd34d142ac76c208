"""`RedisStore`: what a user gives to a hub, so that its sessions are kept in Redis."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from transport.limits import Limits
from transport.stores.redis.keys import Keys
from transport.stores.redis.scripts import Scripts
from transport.stores.remote.store import RemoteStore
from transport.stores.remote.times import Times

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from transport.stores.redis.connections import Connections

NAME_BYTES = 6
"""Random bytes in the name of a process."""


class RedisStore:
    """Sessions in a Redis: ``Hub(handler, store=RedisStore("redis://localhost:6379/0"))``.

    Any process of any machine that uses the same Redis serves any request of any session, and goes
    on with the sessions of a process that has died. Make it where the hub is made; it connects when
    the hub starts in a process.

    Args:
        redis: the URL of the Redis: ``redis://``, ``rediss://`` for TLS, or ``unix://``, with user
            and password as in ``rediss://user:password@host:6379/0``. Or a client of redis-py
            (`redis.asyncio.Redis`), as Sentinel makes one: its settings are used, and it stays
            yours. The Redis must have the ``maxmemory-policy`` ``noeviction``.
        prefix: begins the names of all keys and channels, so that several applications can share a
            Redis: ``"chat:"``.

    Raises:
        ModuleNotFoundError: redis-py is not installed; the message says how to install it.
        ValueError: the URL is not one of a Redis.
        TypeError: it is neither a URL nor a client of redis-py for asyncio.

    Attributes:
        connections: makes connections to the Redis.
        keys: the names of keys and channels.
        times: of leases, for tests: all processes of a Redis must have the same.
    """

    times = Times()

    def __init__(self, redis: str | Redis, *, prefix: str = "") -> None:
        self.connections = _connections(redis)
        self.keys = Keys(prefix)
        self._stores: WeakValueDictionary[tuple[int, str], RemoteStore] = WeakValueDictionary()
        """By process and hub: those of this process, and perhaps of the one that forked it."""

    def connect(self, hub: str, limits: Limits, secret: bytes | None = None) -> RemoteStore:
        """Return the store of a hub, for this process; called when the hub starts in it.

        Args:
            hub: the name of the hub.
            limits: those of the hub.
            secret: the key of the tokens; by default one that Redis keeps.

        Raises:
            RuntimeError: a hub of this name in this process uses this object already.
        """
        from transport.stores.redis.wire import RedisWire

        key = os.getpid(), hub
        other = self._stores.get(key)
        if other is not None and other.is_running:
            raise RuntimeError(
                f"two hubs of this process have the name {hub!r} and the same RedisStore, so each "
                "would serve the sessions of the other: give each a name of its own, as in "
                'Hub(handler, store=store, name="chat"), the same in all processes'
            )
        name, scripts = secrets.token_hex(NAME_BYTES), Scripts.read()
        journal, calls = (
            RedisWire(self.connections, self.keys, scripts, name, limits, self.times)
            for _ in range(2)
        )
        store = RemoteStore(name, journal, calls, secret=secret, times=self.times)
        self._stores[key] = store
        return store


def _connections(source: object) -> Connections:
    try:
        import redis.asyncio

        from transport.stores.redis.connections import Connections
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "RedisStore needs redis-py: pip install 'onechannel[redis]'", name=error.name
        ) from error
    if not isinstance(source, str | redis.asyncio.Redis):
        raise TypeError(
            "RedisStore takes the URL of a Redis, or a client of redis-py for asyncio "
            f"(redis.asyncio.Redis), and not {type(source).__name__}"
        )
    return Connections(source)
