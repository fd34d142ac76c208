"""The request that opens a connection: how large it may be, and what is kept of it (OPN-10).

The last one is kept as long as its session, for `Channel.scope` and for renewals (REN-1).
"""

from __future__ import annotations

from itertools import chain

from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits

MAX_HEADERS = 128
"""How many headers a request may have. Each takes about 130 bytes besides its content. Libraries
for WebSockets accept no more either, and browsers and proxies send about thirty."""


def check_headers(scope: Scope, limits: Limits) -> int:
    """Check that a request is small enough to be kept, and return its size in bytes.

    Raises:
        ProtocolError: ``headers_too_large``.
    """
    headers = scope["headers"]
    path = scope.get("raw_path") or scope["path"].encode()
    size = len(b"".join([*chain.from_iterable(headers), path, scope["query_string"]]))
    if size <= limits.headers and len(headers) <= MAX_HEADERS:
        return size
    raise ProtocolError(
        codes.HEADERS_TOO_LARGE,
        "the headers, path and query of a request that opens a channel may have "
        f"{limits.headers} bytes, the server's Limits(headers=...), in at most {MAX_HEADERS} "
        f"headers; this one has {size} in {len(headers)}. Large cookies are the usual cause",
        limit="headers",
    )


def kept(scope: Scope) -> Scope:
    """Return the scope to keep: without what takes much more memory than its header."""
    return {**scope, "subprotocols": []} if scope.get("subprotocols") else scope
