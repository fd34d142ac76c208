"""The answer to a request while its true answer is not stored yet.

The end of a session, and its takeover by another client, are told once the store has them. A
request that would be told earlier is asked to come again.
"""

from __future__ import annotations

from transport import codes
from transport.errors import ProtocolError

RETRY_IN = 0.1
"""Seconds: a store that is well answers sooner."""


def undecided_error() -> ProtocolError:
    """Return the error of a request whose answer is not stored yet."""
    return ProtocolError(codes.UNAVAILABLE, "the server is still storing this", retry_in=RETRY_IN)
