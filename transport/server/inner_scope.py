"""The ASGI scope that an inner WebSocket application is given, whatever opened its session.

Most of it is the opening request's: path and `root_path`, query, headers, client, `state`, and what
middleware has put there. An event stream or a poll is opened by a POST: what describes that POST is
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import Scope

_SCHEMES = {"http": "ws", "https": "wss"}
_OF_THE_OPENING = frozenset(
    (
        b"accept",
        b"content-length",
        b"content-type",
        b"sec-websocket-protocol",
        b"transfer-encoding",
    )
)
"""Headers that describe the opening POST, or the subprotocols of the opening WebSocket."""

SPEC_VERSION = "2.4"
"""Of the ASGI WebSocket specification: a send to a peer that is gone raises OSError."""


def inner_scope(opening: Scope, subprotocols: Sequence[str], user: Any = None) -> Scope:
    """Return the scope of a WebSocket connection.

    Args:
        opening: the scope of the opening request, without the transport's segment in its path
            (`Channel.scope`). It is not changed.
        subprotocols: those that the client offers; empty if it names none.
        user: what ``authenticate`` returned as `Identity.user`, or None. It becomes the scope's
            ``user``, unless a middleware has put one there.
    """
    scope = {key: value for key, value in opening.items() if key != "method"}
    headers = [pair for pair in opening["headers"] if pair[0] not in _OF_THE_OPENING]
    if subprotocols:
        headers.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode()))
    scheme = opening.get("scheme", "http")
    given = opening.get("extensions") or {}
    scope.update(
        type="websocket",
        asgi={**opening.get("asgi", {"version": "3.0"}), "spec_version": SPEC_VERSION},
        scheme=_SCHEMES.get(scheme, scheme),
        headers=headers,
        subprotocols=list(subprotocols),
        extensions={
            **{key: value for key, value in given.items() if key == "tls"},
            "websocket.http.response": {},
        },
    )
    if user is not None:
        scope.setdefault("user", user)
    if opening["path"] == opening.get("root_path", ""):
        # At the mount itself: for routes below it the path is "/".
        scope["path"] += "/"
        if opening.get("raw_path"):
            scope["raw_path"] += b"/"
    return scope
