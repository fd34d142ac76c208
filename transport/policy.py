"""Who may connect: origins, identities, and how many."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end, as ``authenticate`` found.

    Attributes:
        subject: names the user for ever; only the same subject may resume a session (IDN-2).
        user: anything; it becomes ``channel.user``.
        expires: Unix time at which the credentials end, or None. The client is then asked for new
            ones, and has 30 seconds to give them (REN-1).
    """

    subject: str
    user: Any = None
    expires: float | None = None


Authenticate = Callable[[HTTPConnection, Any], Awaitable[Identity | None]]
"""``async (connection, credentials) -> Identity | None``; None refuses (IDN-2)."""


class OriginPolicy:
    """Which pages may connect (IDN-1), and the CORS headers for those of other origins.

    Args:
        origins: further origins, each exactly as a browser writes it: ``https://app.example.com``.

    Raises:
        ValueError: an entry is no origin; ``*`` is refused, for it would let every page act for
            whoever is logged in.
    """

    def __init__(self, origins: Sequence[str] | None) -> None:
        if isinstance(origins, str):
            raise ValueError(f"origins is a list: [{origins!r}]")
        for origin in origins or ():
            parts = urlsplit(origin)
            if not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(
                    f"{origin!r} is not an origin: write scheme, host and port only, "
                    "such as 'https://app.example.com'"
                )
        self._origins = frozenset(origin.lower() for origin in origins or ())

    def check(self, headers: Headers) -> str | None:
        """Refuse a page of a foreign origin.

        Returns:
            The origin to answer with CORS headers; None where it is our own, or no browser's.

        Raises:
            ProtocolError: ``forbidden_origin``.
        """
        given = headers.getlist("origin")
        site = headers.get("sec-fetch-site")
        if not given:
            if site in (None, "same-origin", "none"):
                return None
            raise self._forbidden()
        origin = given[0].lower()
        if len(given) == 1 and origin in self._origins:
            return given[0]
        if len(given) == 1 and (
            site == "same-origin" or _host_of(origin) == _host(headers, origin)
        ):
            return None
        raise self._forbidden()

    @staticmethod
    def _forbidden() -> ProtocolError:
        return ProtocolError(
            codes.FORBIDDEN_ORIGIN,
            "this page's origin may not connect: it differs from the Host that the server saw. "
            "Name it in Hub(origins=[...]), or let the proxy pass Host on",
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
    given = headers.getlist("host")
    if len(given) != 1 or not given[0]:
        return None
    return _split(given[0].lower(), _PORTS.get(origin.partition("://")[0], ""))


def _split(host: str, default_port: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or name.endswith(":"):
        return host, default_port
    return name, port


class Admission:
    """Counts sessions and openings, so that nobody takes what others need (section 12)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._subjects: dict[str, int] = {}
        self._addresses: dict[str, int] = {}
        self._opens: dict[str, deque[float]] = {}

    def open(self, address: str, now: float) -> None:
        """Count one ``open`` of an address.

        Raises:
            ProtocolError: ``too_many``, naming ``opens_per_second``.
        """
        recent = self._opens.setdefault(address, deque())
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) >= self._limits.opens_per_second:
            raise self._too_many("opens_per_second", 1.0)
        recent.append(now)

    def enter(self, subject: str, address: str) -> None:
        """Count a new session.

        Raises:
            ProtocolError: ``too_many``, naming the limit.
        """
        limits = self._limits
        if self._total >= limits.sessions:
            raise self._too_many("sessions", 5.0)
        if subject and self._subjects.get(subject, 0) >= limits.sessions_per_subject:
            raise self._too_many("sessions_per_subject", 5.0)
        if self._addresses.get(address, 0) >= limits.sessions_per_address:
            raise self._too_many("sessions_per_address", 5.0)
        self._total += 1
        if subject:
            self._subjects[subject] = self._subjects.get(subject, 0) + 1
        self._addresses[address] = self._addresses.get(address, 0) + 1

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

    @staticmethod
    def _too_many(limit: str, retry_in: float) -> ProtocolError:
        return ProtocolError(
            codes.TOO_MANY,
            f"Limits({limit}=...) of the server is reached",
            limit=limit,
            retry_in=retry_in,
        )
