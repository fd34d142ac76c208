"""Which process decides about a name: the others ask it, and need no election."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def ranked(key: bytes, processes: Iterable[str]) -> list[str]:
    """Return processes in the order in which they own a key (rendezvous hashing).

    When a process comes or goes, only the keys that it owns change their owner.

    Args:
        key: what is owned.
        processes: the names of those that live.
    """

    def rank(name: str) -> bytes:
        return hashlib.sha256(b"%b %b" % (key, name.encode())).digest()

    return sorted(processes, key=rank, reverse=True)
