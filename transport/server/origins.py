"""Who may connect: origins, identities, and how many."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from starlette.requests import HTTPConnection

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.server.adapters.headers import Headers
from transport.telemetry.log import WARNING, event

TELL_AGAIN = 60.0
"""Seconds between two lines of the log about one limit: who reaches it reaches it often."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end, as ``authenticate`` found.

    Attributes:
        subject: names the user for ever; only the same subject may resume a session (IDN-2). It is
            ``""`` for guests, of whom nothing is known: a guest's session needs only its token.
        user: anything; it becomes ``channel.user``.
        expires: Unix time at which the credentials end, or None. The client is then asked for new
            ones, and has ``limits.renewal`` seconds to give them (REN-1).

    Raises:
        TypeError, ValueError: a subject or time that is none.
    """

    subject: str
    user: Any = None
    expires: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.subject, str):
            raise TypeError(
                f"Identity.subject is a str that names the user, not a "
                f"{type(self.subject).__name__}: write Identity(str(...))"
            )
        if self.expires is None:
            return
        if isinstance(self.expires, bool) or not isinstance(self.expires, (int, float)):
            raise TypeError(
                f"Identity.expires is Unix time in seconds, not a {type(self.expires).__name__}: "
                "a datetime has it as .timestamp()"
            )
        if not isfinite(self.expires):
            raise ValueError("Identity.expires is Unix time in seconds, or None for never")


Authenticate = Callable[[HTTPConnection, Any], Awaitable[Identity | None]]
"""``async (connection, credentials) -> Identity | None``; None refuses (IDN-2).

Called at each attach, and at each renewal: then with the request that opened the connection, whose
cookies are as old as that, and the new ``credentials``. Must answer within ``limits.opening``.
"""

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


_OF_AN_ADDRESS = ("sessions_per_address", "opens_per_second")


class Admission:
    """Counts sessions and openings, so that nobody takes what others need (section 12).

    An address that is not known (``""``: a Unix socket) is none, and so is the subject of guests:
    neither is counted.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._subjects: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._opens: dict[str, deque[float]] = {}
        self._told: dict[str, float] = {}
        """When a limit was last in the log."""

    def open(self, address: str, now: float) -> None:
        """Count one ``open`` of an address.

        Raises:
            ProtocolError: ``too_many``, naming ``opens_per_second``.
        """
        if not address:
            return
        recent = self._opens.setdefault(address, deque())
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) >= self._limits.opens_per_second:
            raise self._too_many("opens_per_second", now, retry_in=1.0)
        recent.append(now)

    def enter(self, subject: str, address: str, now: float) -> None:
        """Count a new session.

        Raises:
            ProtocolError: ``too_many``, naming the limit.
        """
        limits = self._limits
        if self._total >= limits.sessions:
            raise self._too_many("sessions", now)
        if subject and self._subjects.get(subject, 0) >= limits.sessions_per_subject:
            raise self._too_many("sessions_per_subject", now)
        if address and self._addresses.get(address, 0) >= limits.sessions_per_address:
            raise self._too_many("sessions_per_address", now)
        self._total += 1
        for counts, key in ((self._subjects, subject), (self._addresses, address)):
            if key:
                counts[key] = counts.get(key, 0) + 1

    def leave(self, subject: str, address: str) -> None:
        """A session has ended."""
        self._total -= 1
        for counts, key in ((self._subjects, subject), (self._addresses, address)):
            if counts.get(key, 0) > 1:
                counts[key] -= 1
            else:
                counts.pop(key, None)

    def sweep(self, now: float) -> None:
        """Forget the addresses that opened nothing lately."""
        for address in [a for a, recent in self._opens.items() if recent[-1] <= now - 1.0]:
            del self._opens[address]

    def _too_many(self, limit: str, now: float, retry_in: float = 5.0) -> ProtocolError:
        text = f"Limits({limit}={getattr(self._limits, limit)}) of the server is reached"
        if limit in _OF_AN_ADDRESS:
            text += (
                ". Behind a proxy all clients have its address, unless it sets X-Forwarded-For and "
                "the server trusts it"
            )
        if now - self._told.get(limit, -TELL_AGAIN) >= TELL_AGAIN:
            self._told[limit] = now
            event(WARNING, "limit_reached", text, limit=limit)
        return ProtocolError(codes.TOO_MANY, text, limit=limit, retry_in=retry_in)
