"""What a store keeps of a session besides its messages: whom it belongs to, and how it ended.

The rules of credentials (OPN-4, IDN-2, IDN-3) stand here, so that stores cannot disagree.
"""

from __future__ import annotations

import hashlib
import hmac

from msgspec import Struct

from transport.protocol.server.tombstone import Tombstone

MAX_TOKENS = 3
"""Openings that may be raced or repeated before one is used (OPN-4)."""

_ID_LENGTH = 64


class Record(Struct, gc=False):
    """One session, as a store holds it. The collector of cycles passes it by, as a `Tombstone`.

    Attributes:
        id: public.
        subject: who opened it (IDN-2).
        hashes: of the secrets that are valid, the newest last.
        used: whether one of them was used; there is only that one then.
        tombstone: how it ended, once it has.
    """

    id: str
    subject: str
    hashes: list[bytes] = []
    used: bool = False
    tombstone: Tombstone | None = None

    def issue(self, secret: str) -> None:
        """Make one more secret valid; beyond `MAX_TOKENS` the oldest unused one ends."""
        self.hashes.append(hash_secret(secret))
        if len(self.hashes) > MAX_TOKENS:
            del self.hashes[1 if self.used else 0]

    def opens_to(self, secret: str) -> bool:
        """Whether the secret is valid; compared in constant time (IDN-3)."""
        given = hash_secret(secret)
        found = False
        for known in self.hashes:
            found |= hmac.compare_digest(given, known)
        return found

    def use(self, secret: str) -> None:
        """The client has shown that it holds this secret: the others end (OPN-4)."""
        if not self.used and self.opens_to(secret):
            self.hashes = [hash_secret(secret)]
            self.used = True


def hash_secret(secret: str) -> bytes:
    """How a secret is stored. It is random, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def make_token(session_id: str, secret: str) -> str:
    """The credential that a client holds: opaque to it, the id and the secret to us."""
    return f"{session_id}.{secret}"


def split_token(token: str) -> tuple[str, str] | None:
    """The id and the secret of a token, None where it is none of ours."""
    session_id, dot, secret = token.partition(".")
    if not dot or not 0 < len(session_id) <= _ID_LENGTH or not secret:
        return None
    return session_id, secret
