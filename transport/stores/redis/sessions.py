"""`RedisSessions`: the sessions of hubs in one Redis, as a process gets at them."""

from __future__ import annotations

import os
import secrets
from weakref import WeakValueDictionary

from transport.limits import Limits
from transport.stores.redis.connections import Connections, Source
from transport.stores.redis.keys import Keys
from transport.stores.redis.scripts import Scripts
from transport.stores.redis.wire import RedisWire
from transport.stores.remote.store import RemoteStore
from transport.stores.remote.times import Times

NAME_BYTES = 6
"""Random bytes in the name of a process."""


class RedisSessions:
    """Sessions in a Redis. It can be made before the process is forked: it connects later.

    Args:
        source: a URL, or a client of redis-py; see `Connections`.
        prefix: begins the names of all keys and channels.

    Raises:
        ValueError: the URL is not one of a Redis.
        TypeError: it is neither a URL nor a client of redis-py for asyncio.

    Attributes:
        connections: makes connections to the Redis.
        keys: the names of keys and channels.
        times: of leases, for tests: all processes of a Redis must have the same.
    """

    def __init__(self, source: Source, *, prefix: str = "") -> None:
        self.connections = Connections(source)
        self.keys = Keys(prefix)
        self.times = Times()
        self._stores: WeakValueDictionary[tuple[int, str], RemoteStore] = WeakValueDictionary()
        """By process and hub: those of this process, and perhaps of the one that forked it."""

    def connect(
        self, hub: str, limits: Limits, *, name: str = "", secret: bytes | None = None
    ) -> RemoteStore:
        """Return the store of a hub, for this process; called when the hub starts in it.

        Args:
            hub: the name of the hub.
            limits: those of the hub.
            name: of the process, 12 hexadecimal digits; by default a new one.
            secret: the key of the tokens; by default one that Redis keeps.

        Raises:
            RuntimeError: a hub of this name in this process uses this object already.
        """
        key = os.getpid(), hub
        other = self._stores.get(key)
        if other is not None and other.is_running:
            raise RuntimeError(
                f"two hubs of this process have the name {hub!r} and the same RedisStore, so each "
                "would serve the sessions of the other: give each a name of its own, as in "
                'Hub(handler, store=store, name="chat"), the same in all processes'
            )
        name, scripts = name or secrets.token_hex(NAME_BYTES), Scripts.read()
        journal, calls = (
            RedisWire(self.connections, self.keys, scripts, name, hub, limits, self.times)
            for _ in range(2)
        )
        store = RemoteStore(name, journal, calls, secret=secret, times=self.times)
        self._stores[key] = store
        return store
