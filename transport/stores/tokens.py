"""Tokens: the credential of a session, ``id.secret`` (OPN-4, OPN-6, IDN-3).

The id finds the record of the session. The secret is derived from the ``open`` that asked for the
session, so every answer to that ``open`` carries the same token, however often it is repeated, and
a store keeps only one hash.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import NamedTuple

_ID_LENGTH = 64
_SECRET_LENGTH = 43
"""Characters of 32 bytes in base64, without the padding."""


def derive_secret(key: bytes, session_id: str, subject: str, client: str, nonce: str) -> str:
    """Return the secret of a session: 256 bits, which nobody without the key can tell.

    Args:
        key: the secret key of the hub.
        session_id: the public id of the session.
        subject: the subject that it is opened for.
        client, nonce: those of the ``open``.
    """
    # No part can be taken for the end of another: only the last one may contain a colon (OPN-3).
    message = f"{session_id}:{client}:{nonce}:{subject}".encode("utf-8", "surrogatepass")
    digest = hmac.digest(key, message, "sha256")
    return urlsafe_b64encode(digest)[:_SECRET_LENGTH].decode()


def hash_secret(secret: str) -> bytes:
    """Return the hash under which a secret is stored. Secrets are random: one round is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def make_token(session_id: str, secret: str) -> str:
    """Return the token of a session, which is opaque to the client."""
    return f"{session_id}.{secret}"


class Credential(NamedTuple):
    """What a token proves: it may be passed on and logged, as nobody can make the token of it.

    Attributes:
        id: the public id of the session.
        hash: the hash of the secret.
    """

    id: str
    hash: bytes


def read_token(token: str) -> Credential | None:
    """Return what a token proves; None if it is not one of this package."""
    session_id, dot, secret = token.partition(".")
    if not dot or not 0 < len(session_id) <= _ID_LENGTH or not secret:
        return None
    return Credential(session_id, hash_secret(secret))
