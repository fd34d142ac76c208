"""One process of a hub on Redis, to be stopped and killed: it sends every item back.

Arguments: the URL of the Redis, and the name of the hub. It writes its name when it has started.
"""

from __future__ import annotations

import asyncio
import sys

import redis.asyncio

from transport.bus.interface import Pipe
from transport.bus.items import Item
from transport.bus.redis.keys import Keys
from transport.bus.redis.redis_bus import RedisBus
from transport.stores.redis.connections import Connections

LEASE = 600
"""Seconds: it ends only if a test ends it."""


class Echo:
    """Sends each item back on its pipe."""

    def received(self, pipe: Pipe, item: Item) -> None:
        pipe.send(item)

    def opened(self, pipe: Pipe) -> None:
        pass

    def ended(self, pipe: Pipe) -> None:
        pass

    def joined(self, name: str) -> None:
        pass

    def left(self, name: str) -> None:
        pass


async def main(url: str, hub: str) -> None:
    keys = Keys(hub)
    bus = RedisBus(Connections(url), keys, keys.new_name(), b"s" * 32)
    client = redis.asyncio.Redis.from_url(url)
    await client.set(keys.process(bus.name), -1, ex=LEASE)
    await bus.start(Echo())
    sys.stdout.write(f"{bus.name}\n")
    sys.stdout.flush()
    for count in range(1_000_000):
        await client.set(keys.process(bus.name), count, ex=LEASE)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
