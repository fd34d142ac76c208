"""A `RedisStore` with shorter times than those of users."""

from __future__ import annotations

from typing import Any

from transport.bus.redis_store import RedisStore
from transport.stores.remote.times import Times


def redis_store(redis: Any, times: Times) -> RedisStore:
    """Return a store whose leases last as long as a test needs; all of a Redis have the same."""
    store = RedisStore(redis)
    store._sessions.times = times
    return store
