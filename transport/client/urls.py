"""The URLs of a channel: one for each transport, and one for POSTs."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def is_secure(url: str) -> bool:
    """Return whether ``url`` is used over TLS."""
    return urlsplit(url).scheme in ("https", "wss")


def locate(url: str, segment: str, *, websocket: bool = False) -> str:
    """Return the channel's URL with one more segment, the query kept."""
    parts = urlsplit(url)
    scheme = ("ws" if websocket else "http") + ("s" if is_secure(url) else "")
    path = f"{parts.path.rstrip('/')}/{segment}"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def public_url(url: str) -> str:
    """Return ``url`` without what may be secret: the user, the password and the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
