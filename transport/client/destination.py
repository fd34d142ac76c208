"""`Destination`: the server, and the way to it. All transports use the same one."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from transport.client.proxies import choose_proxy
from transport.client.urls import is_secure

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\t -~]*")
_OWN_HEADERS = frozenset(
    {
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the client sets itself, depending on the transport."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The server to connect to.

    Attributes:
        url: the URL of the channel.
        headers: headers of every request; their names are in lower case.
        tls: the TLS settings, for the server and for a proxy; None if neither uses TLS.
        proxy: the URL of the proxy; None without one.
    """

    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    proxy: str | None


def make_destination(
    url: str,
    *,
    headers: Mapping[str, str],
    verify: ssl.SSLContext | bool,
    proxy: str | None,
    trust_env: bool,
) -> Destination:
    """Return the destination that these arguments of `connect` describe.

    Raises:
        ValueError: one of them cannot work. The text says which, without its value.
    """
    if not isinstance(verify, (ssl.SSLContext, bool)):
        raise ValueError(
            f"verify must be an ssl.SSLContext or a bool, not {type(verify).__name__}: for a file, "
            "use ssl.create_default_context(cafile=...)"
        )
    chosen = choose_proxy(url, proxy, trust_env)
    uses_tls = is_secure(url) or (chosen is not None and is_secure(chosen))
    tls = _make_context(verify) if uses_tls else None
    return Destination(url, _check_headers(headers), tls, chosen)


def _make_context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not _is_text(name, _NAME):
            raise ValueError(f"headers has a name that is not one of a header: {name!r}")
        if not _is_text(value, _VALUE):
            raise ValueError(f"headers[{name!r}] must be a str of printable ASCII characters")
        lower = name.lower()
        if lower in _OWN_HEADERS:
            raise ValueError(f"headers must not have {name!r}, which the client sets itself")
        if lower in checked:
            raise ValueError(f"headers has {name!r} twice, in upper and lower case")
        checked[lower] = value
    return checked


def _is_text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
