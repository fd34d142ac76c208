"""`Record`: what a store keeps about a session: its owner, its tokens, and how it ended.

The rules for tokens (OPN-4, IDN-2, IDN-3) are here, so that all stores follow the same ones.
"""

from __future__ import annotations

import hashlib
import hmac

from msgspec import Struct

from transport.protocol.server.tombstone import Tombstone

MAX_TOKENS = 3
"""How many tokens are valid until one of them is used: opens may race (OPN-4)."""

_ID_LENGTH = 64


class Record(Struct, gc=False):
    """One session, as a store holds it. Like a `Tombstone`, it is not tracked by the collector.

    Attributes:
        id: the public id.
        subject: the subject that opened it (IDN-2).
        hashes: the hashes of the valid secrets, the newest last.
        used: whether a secret was used; it is then the only one.
        tombstone: how the session ended, once it has.
    """

    id: str
    subject: str
    hashes: list[bytes] = []
    used: bool = False
    tombstone: Tombstone | None = None

    def issue(self, secret: str) -> None:
        """Make one more secret valid; beyond `MAX_TOKENS` the oldest unused one is revoked."""
        self.hashes.append(hash_secret(secret))
        if len(self.hashes) > MAX_TOKENS:
            del self.hashes[1 if self.used else 0]

    def opens_to(self, secret: str) -> bool:
        """Return whether the secret is valid; compares in constant time (IDN-3)."""
        hashed = hash_secret(secret)
        found = False
        for known in self.hashes:
            found |= hmac.compare_digest(hashed, known)
        return found

    def use(self, secret: str) -> None:
        """Revoke the other secrets: the client has shown that it has this one (OPN-4)."""
        if not self.used and self.opens_to(secret):
            self.hashes = [hash_secret(secret)]
            self.used = True


def hash_secret(secret: str) -> bytes:
    """Return the hash under which a secret is stored. Secrets are random: one round is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def make_token(session_id: str, secret: str) -> str:
    """Return the token of a session, which is opaque to the client."""
    return f"{session_id}.{secret}"


def split_token(token: str) -> tuple[str, str] | None:
    """Split a token into id and secret; return None if it is not one of this package."""
    session_id, dot, secret = token.partition(".")
    if not dot or not 0 < len(session_id) <= _ID_LENGTH or not secret:
        return None
    return session_id, secret
