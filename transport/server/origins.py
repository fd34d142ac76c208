"""`OriginPolicy`: which pages may connect, and the CORS headers (IDN-1, IDN-4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transport import codes
from transport.errors import ProtocolError
from transport.server.headers import Headers
from transport.telemetry.log import WARNING, log_event

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
"""An origin as a browser writes it, without the default port."""

_WITHOUT_HOST = ("null", "file://")
"""Origins of files, sandboxed frames and embedded pages."""

MAX_ECHOED = 256
"""Characters of an origin that is written into a response: a host name has at most 253."""


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

    def check(self, headers: Headers, scheme: str = "http") -> str | None:
        """Check that a page of this origin may connect.

        Args:
            headers: of the request.
            scheme: of the request, as the server knows it. With ``https`` and ``wss``, a page that
                was loaded without TLS is foreign. With ``http`` and ``ws`` a page that was loaded
                with TLS is not, since a proxy may terminate it.

        Returns:
            The origin to answer with CORS headers; None if it is the server's own, or if the
            request does not come from a browser.

        Raises:
            ProtocolError: ``forbidden_origin``.
        """
        if b"origin" not in headers.last and b"sec-fetch-site" not in headers.last:
            return None  # no browser
        origins = headers.every(b"origin")
        site = headers.first(b"sec-fetch-site")
        if not origins:
            if site in (None, "same-origin", "none"):
                return None
            raise self._forbidden()
        origin = origins[0].lower()
        if len(origins) == 1 and origin in self._origins:
            return origins[0]
        if len(origins) == 1 and (site == "same-origin" or _is_ours(headers, scheme, origin)):
            return None
        raise self._forbidden()

    def _forbidden(self) -> ProtocolError:
        if not self._has_logged:  # once: there may be thousands of such requests
            self._has_logged = True
            log_event(
                WARNING,
                "origin_refused",
                "refused a page whose Origin is not this server's own. If the page is yours, and "
                "comes from another server, such as a development server, or a proxy rewrites "
                "Host, list the public origin in Hub(origins=[...])",
            )
        return ProtocolError(
            codes.FORBIDDEN_ORIGIN,
            "pages of this origin may not connect: it differs from the scheme and Host that the "
            "server saw. If the page comes from another server, or a proxy rewrites Host, list the "
            "origin in Hub(origins=[...])",
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
    def refusal(headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the headers that let a page of a refused origin read that it was (IDN-4)."""
        vary = (b"vary", b"Origin")
        origins = headers.every(b"origin")
        origin = origins[0] if len(origins) == 1 else ""
        if len(origin) > MAX_ECHOED or not (_is_valid(origin.lower()) or origin in _WITHOUT_HOST):
            return [vary]
        return [vary, (b"access-control-allow-origin", origin.encode("latin-1"))]

    @staticmethod
    def preflight(max_age: int = 7200) -> list[tuple[bytes, bytes]]:
        """Return the further headers of the response to a preflight request."""
        return [
            (b"access-control-allow-methods", b"POST, GET"),
            (b"access-control-allow-headers", b"content-type, authorization"),
            (b"access-control-max-age", b"%d" % max_age),
        ]


def _listed(origin: object) -> str:
    """Check an entry of ``origins`` and return it in lower case."""
    lower = origin.lower() if isinstance(origin, str) else ""
    if lower in _WITHOUT_HOST:
        return lower
    if not _is_valid(lower):
        raise ValueError(
            f"{origin!r} is not an origin: write it as browsers send it, with scheme and host, "
            "without default port, path, trailing slash or wildcard, and with other alphabets in "
            "punycode: 'https://app.example.com'"
        )
    return lower


def _is_valid(lower: str) -> bool:
    found = _ORIGIN.fullmatch(lower)
    scheme, port = (found[1], found[3]) if found is not None else ("", None)
    if not scheme:
        return False
    return port is None or (port != _PORTS.get(scheme) and int(port) <= 65_535)


_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}


def _is_ours(headers: Headers, scheme: str, origin: str) -> bool:
    """Return whether the page was loaded from this server's own host, as far as it can tell."""
    of_page = origin.partition("://")[0]
    if of_page not in ("http", "https") or (of_page == "http" and scheme in ("https", "wss")):
        return False
    ours = _host(headers, origin)
    return ours is not None and _host_of(origin) == ours


def _host_of(origin: str) -> tuple[str, str] | None:
    """Return host and port of an origin, or None if it has none (``null``, garbage)."""
    scheme, mark, host = origin.partition("://")
    if not mark or "/" in host or "@" in host or not host:
        return None
    return _split(host, _PORTS.get(scheme, ""))


def _host(headers: Headers, origin: str) -> tuple[str, str] | None:
    """Return host and port of the ``Host`` header, or None if there is not exactly one.

    A ``Host`` without a port is taken to be on the default port of the origin's scheme, because TLS
    may be terminated in front of the server.
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
