"""Says why a connection failed, and what to do about it. Pure.

A reason is short: a status, a code of PROTOCOL.md section 13, or what the network reported.
`explain_failure` adds the cure, for people. No text has a URL, which may contain secrets.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

_NO_HUB = "no channel at this URL: check the mount path"
_PROXY = "a proxy answered, because the server behind it is down or too slow"
_CHANGED = "a proxy on the way changes the request"

CURES: dict[str, str] = {
    "HTTP 301": "the URL redirects: use the one that it leads to",
    "HTTP 302": "the URL redirects: use the one that it leads to",
    "HTTP 307": "the URL redirects: use the one that it leads to",
    "HTTP 308": "the URL redirects: use the one that it leads to",
    "HTTP 401": "a proxy or a middleware wants credentials of its own: see connect(headers=...)",
    "HTTP 403": "refused before a hub answered: no channel at this URL (check the mount path), an "
    "origin that Hub(origins=...) does not list, or a rule of a proxy",
    "HTTP 404": _NO_HUB,
    "HTTP 405": "something other than a hub answers at this URL: check the mount path",
    "HTTP 407": "the proxy wants credentials",
    "HTTP 413": "a proxy's limit on the size of requests is too low",
    "HTTP 426": "something other than a hub answers at this URL: check the mount path",
    "HTTP 429": "a proxy limits the rate of requests",
    "HTTP 500": "the server's application failed: see its log",
    "HTTP 502": _PROXY,
    "HTTP 503": _PROXY,
    "HTTP 504": _PROXY,
    "bad_json": "something other than a hub answers at this URL: check the mount path",
    "forbidden_origin": "list this origin in Hub(origins=[...])",
    "method_not_allowed": _CHANGED,
    "not_found": f"{_NO_HUB}, and whether Hub(transports=...) has this transport",
    "too_many": "the server has reached one of its limits; the client tries again later",
    "unavailable": "the server is stopping, or its `authenticate` failed: see its log",
    "unsupported_media_type": _CHANGED,
    "upgrade_required": "a proxy on the way strips the upgrade to WebSocket",
    "no answer in time": "the server, or a proxy or a firewall on the way, is silent",
    "no credentials": "the function for credentials failed: see the log",
}
"""What to do, by reason."""


def explain_failure(reason: str) -> str:
    """Return ``reason`` with its cure, if one is known."""
    cure = CURES.get(reason)
    return reason if cure is None else f"{reason}: {cure}"


def describe_error(error: BaseException) -> str:
    """Return the reason for a connection that failed with ``error``."""
    for cause in _causes(error):
        text = _text(cause)
        match cause:
            case ssl.SSLCertVerificationError():
                return f"TLS: the certificate is not trusted; see connect(tls=...) ({text})"
            case ssl.SSLError():
                return f"TLS failed; does the server speak https at this port? ({text})"
            case socket.gaierror():
                return f"the host's name is unknown: check the URL ({text})"
            case ConnectionRefusedError():
                return f"connection refused: no server listens at this host and port ({text})"
            case _:
                pass
    return _text(error)


def _text(error: BaseException) -> str:
    text = str(error)
    # A URL may have a password or a token in it.
    return text if text and "://" not in text else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from: libraries wrap the error of the network."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
