"""Which proxy leads to a server: the one given, or the one that the environment names.

Libraries read these variables each in its own way. The client reads them here, once, so that every
transport takes the same way.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from transport.client.urls import is_secure


def choose_proxy(url: str, proxy: str | None, trust_env: bool) -> str | None:
    """Return the URL of the proxy for a channel's ``url``; None without one.

    Args:
        url: the URL of the channel.
        proxy: the URL of a proxy, which is used in any case.
        trust_env: whether the environment is asked if ``proxy`` is None: ``HTTPS_PROXY`` for https
            and wss, ``HTTP_PROXY`` for http and ws, then ``ALL_PROXY``, except for the hosts in
            ``NO_PROXY``; on macOS and Windows also the system's settings.

    Raises:
        ValueError: the client cannot use this proxy. The text has no part of its URL.
    """
    if proxy is not None:
        return _check(proxy, "connect(proxy=...)")
    if not trust_env or _is_exempt(url):
        return None
    found = getproxies()
    for name in ("https" if is_secure(url) else "http", "all"):
        if value := found.get(name):
            proxy = value if "://" in value else f"http://{value}"
            return _check(proxy, f"the environment's {name.upper()}_PROXY")
    return None


def _is_exempt(url: str) -> bool:
    parts = urlsplit(url)
    assert parts.hostname is not None  # `connect` has checked it
    port = parts.port or (443 if is_secure(url) else 80)
    return bool(proxy_bypass(parts.hostname) or proxy_bypass(f"{parts.hostname}:{port}"))


def _check(proxy: str, source: str) -> str:
    """Return ``proxy`` if both libraries can use it."""
    try:
        parts = urlsplit(proxy)
        parts.port  # noqa: B018 - raises ValueError if it is not a number
        unquote(f"{parts.username}{parts.password}", errors="strict")
    except ValueError:
        raise ValueError(
            f"{source} is not the URL of a proxy: its port or password is wrong"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"{source} is a {parts.scheme or 'relative'} URL, and the client can use an HTTP proxy "
            "only: write http://host:port, or use none with connect(trust_env=False)"
        )
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{source} must be http://host:port or http://user:password@host:port")
    if parts.username is not None and parts.password is None:
        raise ValueError(f"{source} has a user without a password")
    return proxy
