"""`OriginPolicy`: which pages may connect, and the CORS headers for them (IDN-1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from transport import codes
from transport.errors import ProtocolError
from transport.server.adapters.headers import Headers
from transport.telemetry.log import WARNING, event

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
"""As a browser writes it, with the default port left out."""


class OriginPolicy:
    """Which pages may connect (IDN-1), and the CORS headers for those of other origins.

    Args:
        origins: further origins, each exactly as a browser writes it: ``https://app.example.com``.

    Raises:
        ValueError: an entry is not what a browser sends, and so would never match; ``*`` is
            refused, for it would let every page act for whoever is logged in.
    """

    def __init__(self, origins: Sequence[str] | None) -> None:
        if isinstance(origins, str):
            raise ValueError(f"origins is a list: [{origins!r}]")
        self._origins = frozenset(map(_listed, origins or ()))
        self._told = False

    def check(self, headers: Headers) -> str | None:
        """Refuse a page of a foreign origin.

        Returns:
            The origin to answer with CORS headers; None where it is our own, or no browser's.

        Raises:
            ProtocolError: ``forbidden_origin``.
        """
        given = headers.every(b"origin")
        site = headers.first(b"sec-fetch-site")
        if not given:
            if site in (None, "same-origin", "none"):
                return None
            raise self._forbidden()
        origin = given[0].lower()
        if len(given) == 1 and origin in self._origins:
            return given[0]
        ours = _host(headers, origin)
        if len(given) == 1 and (
            site == "same-origin" or (ours is not None and _host_of(origin) == ours)
        ):
            return None
        raise self._forbidden()

    def _forbidden(self) -> ProtocolError:
        if not self._told:  # once: foreign pages may come by the thousand
            self._told = True
            event(
                WARNING,
                "origin_refused",
                "a page was refused, for its origin is not the Host that this server saw. Was it a "
                "page of yours, a proxy changes Host: let it pass Host on, or name the public "
                "origin in Hub(origins=[...])",
            )
        return ProtocolError(
            codes.FORBIDDEN_ORIGIN,
            "this page's origin may not connect: it differs from the Host that the server saw. "
            "Behind a proxy that rewrites Host, name it in Hub(origins=[...]), or let the proxy "
            "pass Host on",
        )

    @staticmethod
    def cors(origin: str | None) -> list[tuple[bytes, bytes]]:
        """The headers that let a page of ``origin`` read the answer."""
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
        """What a preflight is answered besides."""
        return [
            (b"access-control-allow-methods", b"POST, GET"),
            (b"access-control-allow-headers", b"content-type, authorization"),
            (b"access-control-max-age", b"7200"),
        ]


def _listed(origin: object) -> str:
    """An entry of ``origins``, in lower case."""
    lower = origin.lower() if isinstance(origin, str) else ""
    found = _ORIGIN.fullmatch(lower)
    scheme, port = (found[1], found[3]) if found is not None else ("", None)
    if not scheme or (port is not None and (port == _PORTS.get(scheme) or int(port) > 65_535)):
        raise ValueError(
            f"{origin!r} is not an origin: write it as browsers send it, with scheme, host and no "
            "default port, without path, slash or wildcard, and other alphabets in punycode: "
            "'https://app.example.com'"
        )
    return lower


_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}


def _host_of(origin: str) -> tuple[str, str] | None:
    """Host and port of an origin, None where it has none (``null``, garbage)."""
    scheme, mark, host = origin.partition("://")
    if not mark or "/" in host or "@" in host or not host:
        return None
    return _split(host, _PORTS.get(scheme, ""))


def _host(headers: Headers, origin: str) -> tuple[str, str] | None:
    """Host and port of ``Host``. The scheme is not ours to know: TLS may end before us.

    So a ``Host`` without a port is on the port that the origin's scheme means.
    """
    given = headers.every(b"host")
    if len(given) != 1 or not given[0]:
        return None
    return _split(given[0].lower(), _PORTS.get(origin.partition("://")[0], ""))


def _split(host: str, default_port: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or name.endswith(":"):
        return host, default_port
    return name, port
