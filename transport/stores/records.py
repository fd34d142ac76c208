"""`Record`: what a store keeps about a session: its owner, its token's hash, and how it ended."""

from __future__ import annotations

import hmac

from msgspec import Struct

from transport.protocol.server.tombstone import Tombstone
from transport.stores.tokens import Credential


class Record(Struct, gc=False):
    """One session, as a store holds it. Like a `Tombstone`, it is not tracked by the collector.

    Attributes:
        id: the public id.
        subject: the subject that opened it (IDN-2).
        hash: the hash of its secret (IDN-3).
        begun: whether the session began; its ``open`` may be cancelled before.
        tombstone: how the session ended, once it has.
    """

    id: str
    subject: str
    hash: bytes
    begun: bool = False
    tombstone: Tombstone | None = None

    def opens_to(self, credential: Credential) -> bool:
        """Return whether the credential is valid; compares in constant time (IDN-3)."""
        return hmac.compare_digest(self.hash, credential.hash)
