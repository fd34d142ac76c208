"""Names that a store keeps: of users, hubs and topics. They are chosen by applications."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

_LONGEST = 44
"""Bytes of a name that is kept as it is: with it a field has at most 64, see `records`."""

_HASHED = "#"
"""Begins the names that were hashed, and no others."""


def shorten(name: str) -> str:
    """Return a name as it is stored: itself, or its hash if it is longer than 44 bytes.

    Two names have the same short form only if they are the same: compare names in this form. A name
    that looks like a hash is hashed too.
    """
    data = name.encode("utf-8", "surrogatepass")
    if len(data) <= _LONGEST and not name.startswith(_HASHED):
        return name
    digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return _HASHED + digest.decode()


def shorten_topic(topic: str) -> str:
    """Return the name of a topic as it is stored; one that is short already stays as it is.

    No topic begins like a hash, see `transport.protocol.topic_names`.
    """
    return topic if topic.startswith(_HASHED) else shorten(topic)
