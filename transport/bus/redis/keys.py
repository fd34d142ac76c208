"""The keys and channels of the bus in Redis, and the names of processes."""

from __future__ import annotations

import hashlib
import re
import secrets

from transport.bus.interface import NAME_LENGTH
from transport.stores.redis.keys import Keys as StoreKeys

_TAG_LENGTH = 4

_is_name = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}").fullmatch


class Keys:
    """What the processes of one hub use.

    Args:
        hub: the name of the hub.
        prefix: begins every key and channel.

    Attributes:
        registry: a sorted set: the processes, by when each was last seen.
    """

    def __init__(self, hub: str, prefix: str = "") -> None:
        key = hashlib.sha256(hub.encode("utf-8", "surrogatepass")).hexdigest()
        self._tag = key[:_TAG_LENGTH]
        self._keys = StoreKeys(prefix)
        self.registry = self._keys.processes(key[:16]).encode()

    def process(self, name: str) -> bytes:
        """Return the key of a process's lease, and its channel, which has the same name."""
        return self._keys.process(name).encode()

    def new_name(self) -> str:
        """Return a name for a process of this hub: no other has it, before or after."""
        return self._tag + secrets.token_hex((NAME_LENGTH - _TAG_LENGTH) // 2)

    def is_ours(self, name: str) -> bool:
        """Return whether a name is one of this hub's processes, present or past."""
        return name.startswith(self._tag) and _is_name(name) is not None
