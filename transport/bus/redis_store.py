"""`RedisStore`: what a user gives to a hub, so that its sessions are kept in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transport.bus.shared import Joined, SharedStore
from transport.limits import Limits
from transport.stores.topics.wire import TopicStore

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from transport.stores.redis.sessions import RedisSessions


class RedisStore(SharedStore):
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
        ValueError: the URL is not one of a Redis, or no key can begin with the prefix.
        TypeError: it is neither a URL nor a client of redis-py for asyncio, or the prefix is no
            str.

    Attributes:
        sessions: those in the Redis.
    """

    def __init__(self, redis: str | Redis, *, prefix: str = "") -> None:
        _check_prefix(prefix)
        self.sessions = _sessions(redis, prefix)
        self._prefix = prefix

    def topics(self, hub: str, limits: Limits) -> TopicStore:
        """Return the topics of a hub, for a process that publishes to them or reads them.

        Args:
            hub: the name of the hub.
            limits: those of the hub.
        """
        from transport.stores.redis.topic_wires import RedisTopics

        return RedisTopics(self.sessions.connections, self.sessions.keys, hub, limits)

    def join(self, hub: str, limits: Limits) -> Joined:
        """See `SharedStore.join`."""
        from transport.bus.redis.keys import Keys
        from transport.bus.redis.redis_bus import RedisBus

        keys = Keys(hub, self._prefix)
        name = keys.new_name()
        store = self.sessions.connect(hub, limits, name=name)
        # Who can write to the Redis can do anything: its processes share no secret of their own.
        connections = self.sessions.connections
        bus = RedisBus(connections, keys, name, b"")
        return Joined(bus, store, self.topics(hub, limits))


def _check_prefix(prefix: str) -> None:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix begins the names of keys: a str, not a {type(prefix).__name__}")
    try:
        prefix.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"prefix begins the names of keys, which are UTF-8: {error}") from None


def _sessions(redis: str | Redis, prefix: str) -> RedisSessions:
    try:
        from transport.stores.redis.sessions import RedisSessions
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "RedisStore needs redis-py: pip install 'onechannel[redis]'", name=error.name
        ) from error
    return RedisSessions(redis, prefix=prefix)
