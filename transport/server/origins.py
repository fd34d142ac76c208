"""`OriginPolicy`: which pages may connect, and the CORS headers for them (IDN-1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transport import codes
from transport.errors import ProtocolError
from transport.server.headers import Headers
from transport.telemetry.log import WARNING, log_event

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
"""An origin as a browser writes it, without the default port."""


class OriginPolicy:
    """Decides which pages may connect (IDN-1), and makes the CORS headers for other origins.

    Args:
        origins: further origins, each as a browser writes it: ``https://app.example.com``.

    Raises:
        ValueError: an entry is not what a browser sends, so it would never match. ``*`` is refused
            because it would let every page act for the user who is signed in.
    """

    def __init__(self, origins: Sequence[str] | None) -> None:
        if isinstance(origins, str):
            raise ValueError(f"origins must be a list: [{origins!r}]")
        self._origins = frozenset(map(_listed, origins or ()))
        self._has_logged = False

    def check(self, headers: Headers) -> str | None:
        """Check that a page of this origin may connect.

        Returns:
            The origin to answer with CORS headers; None if it is the server's own, or if the
            request does not come from a browser.

        Raises:
            ProtocolError: ``forbidden_origin``.
        """
        origins = headers.every(b"origin")
        site = headers.first(b"sec-fetch-site")
        if not origins:
            if site in (None, "same-origin", "none"):
                return None
            raise self._forbidden()
        origin = origins[0].lower()
        if len(origins) == 1 and origin in self._origins:
            return origins[0]
        ours = _host(headers, origin)
        if len(origins) == 1 and (
            site == "same-origin" or (ours is not None and _host_of(origin) == ours)
        ):
            return None
        raise self._forbidden()

    def _forbidden(self) -> ProtocolError:
        if not self._has_logged:  # once: there may be thousands of such requests
            self._has_logged = True
            log_event(
                WARNING,
                "origin_refused",
                "refused a page whose Origin does not match Host. If the page is yours, a proxy is "
                "rewriting Host: preserve it, or list the public origin in Hub(origins=[...])",
            )
        return ProtocolError(
            codes.FORBIDDEN_ORIGIN,
            "pages of this origin may not connect: it does not match the Host that the server saw. "
            "If a proxy rewrites Host, preserve it, or list the origin in Hub(origins=[...])",
        )

    @staticmethod
    def cors(origin: str | None) -> list[tuple[bytes, bytes]]:
        """Return the headers that let a page of ``origin`` read the response."""
        vary = (b"vary", b"Origin")
        if origin is None:
            return [vary]
        return [
            vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-expose-headers", b"Retry-After"),
        ]

    @staticmethod
    def preflight() -> list[tuple[bytes, bytes]]:
        """Return the further headers of the response to a preflight request."""
        return [
            (b"access-control-allow-methods", b"POST, GET"),
            (b"access-control-allow-headers", b"content-type, authorization"),
            (b"access-control-max-age", b"7200"),
        ]


def _listed(origin: object) -> str:
    """Check an entry of ``origins`` and return it in lower case."""
    lower = origin.lower() if isinstance(origin, str) else ""
    found = _ORIGIN.fullmatch(lower)
    scheme, port = (found[1], found[3]) if found is not None else ("", None)
    if not scheme or (port is not None and (port == _PORTS.get(scheme) or int(port) > 65_535)):
        raise ValueError(
            f"{origin!r} is not an origin: write it as browsers send it, with scheme and host, "
            "without default port, path, trailing slash or wildcard, and with other alphabets in "
            "punycode: 'https://app.example.com'"
        )
    return lower


_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}


def _host_of(origin: str) -> tuple[str, str] | None:
    """Return host and port of an origin, or None if it has none (``null``, garbage)."""
    scheme, mark, host = origin.partition("://")
    if not mark or "/" in host or "@" in host or not host:
        return None
    return _split(host, _PORTS.get(scheme, ""))


def _host(headers: Headers, origin: str) -> tuple[str, str] | None:
    """Return host and port of the ``Host`` header, or None if there is not exactly one.

    A ``Host`` without a port is taken to be on the default port of the origin's scheme: the
    server's own scheme is not known, because TLS may be terminated in front of it.
    """
    hosts = headers.every(b"host")
    if len(hosts) != 1 or not hosts[0]:
        return None
    return _split(hosts[0].lower(), _PORTS.get(origin.partition("://")[0], ""))


def _split(host: str, default_port: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or name.endswith(":"):
        return host, default_port
    return name, port
