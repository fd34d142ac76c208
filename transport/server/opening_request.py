"""The request that opens a connection: how large it may be, and what is kept of it (OPN-10).

The last one is kept as long as its session, for `Channel.scope` and for renewals (REN-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.server.addresses import address_of

MAX_HEADERS = 128
"""How many headers a request may have. Each takes about 130 bytes besides its content. Libraries
for WebSockets accept no more either, and browsers and proxies send about thirty."""


@dataclass(frozen=True, slots=True)
class OpeningRequest:
    """What is used of a request that carries an ``open``.

    Attributes:
        scope: its ASGI scope, without what takes much more memory than its header.
        address: of the client, as it is counted.
        size: bytes of its headers, path and query.
    """

    scope: Scope
    address: str
    size: int


def read_request(connection: HTTPConnection, limits: Limits) -> OpeningRequest:
    """Check that a request is small enough to be kept, and return it.

    Raises:
        ProtocolError: ``headers_too_large``.
    """
    scope = connection.scope
    headers = scope["headers"]
    path = scope.get("raw_path") or scope["path"].encode()
    size = len(b"".join([*chain.from_iterable(headers), path, scope["query_string"]]))
    if size > limits.headers or len(headers) > MAX_HEADERS:
        raise ProtocolError(
            codes.HEADERS_TOO_LARGE,
            "the headers, path and query of a request that opens a channel may have "
            f"{limits.headers} bytes, the server's Limits(headers=...), in at most {MAX_HEADERS} "
            f"headers; this one has {size} in {len(headers)}. Large cookies are the usual cause",
            limit="headers",
        )
    kept = {**scope, "subprotocols": []} if scope.get("subprotocols") else scope
    return OpeningRequest(kept, address_of(connection), size)
