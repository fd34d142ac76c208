"""Says why a connection failed, and what to do about it. Pure.

A reason is short: a status, a code of PROTOCOL.md section 13, or what the network reported.
`explain_failure` adds the cure, for people. No text has a URL, which may contain secrets,
except the proxy's without them.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from transport.client.urls import is_secure, public_url

_NO_HUB = "no channel at this URL: check the mount path"
_PROXY = "a proxy answered, because the server behind it is down or too slow"
_REDIRECT = "the URL redirects, which the client does not follow: use the URL that it leads to"
_NO_WAY = "the proxy does not reach the server: check the URL, and whether the server runs"
_CHANGED = "a proxy on the way changes the request"

_CHECK_PROXY = (
    "check connect(proxy=...), or the environment's HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"
)
_UNWANTED = (
    "the server does not accept this client's certificate, or wants one; load it into the context "
    "of connect(verify=...) with load_cert_chain(...)"
)
_ABOUT_CLIENT = re.compile(r"_ALERT_(CERTIFICATE|BAD_CERTIFICATE|HANDSHAKE_FAILURE|UNKNOWN_CA)")
"""TLS alerts by which a server refuses the client's certificate."""
_DISTRUST = {
    9: "is not valid yet; check the clocks",
    10: "has expired; renew it",
    62: "is for another host; check the URL",
    64: "is for another host; check the URL",
}
"""What is wrong with a certificate, by OpenSSL's ``verify_code``."""
_UNKNOWN_AUTHORITY = (
    "is signed by nobody that this client trusts; trust its authority with "
    "connect(verify=ssl.create_default_context(cafile=...))"
)

CLOSED = "closed without an answer"

CURES: dict[str, str] = {
    "HTTP 301": _REDIRECT,
    "HTTP 302": _REDIRECT,
    "HTTP 303": _REDIRECT,
    "HTTP 307": _REDIRECT,
    "HTTP 308": _REDIRECT,
    "HTTP 401": "a proxy or a middleware wants credentials of its own: see connect(headers=...)",
    "HTTP 403": "refused before a hub answered: no channel at this URL (check the mount path), an "
    "origin that Hub(origins=...) does not list, or a rule of a proxy",
    "HTTP 404": _NO_HUB,
    "HTTP 405": "something other than a hub answers at this URL: check the mount path",
    "HTTP 407": "the proxy wants credentials, or others: connect(proxy=...), or the environment's "
    "HTTPS_PROXY, may be http://user:password@host:port",
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
    "unavailable": "the server is stopping, its `authenticate` failed, or its store does not "
    "answer: see its log",
    "unsupported_media_type": _CHANGED,
    "upgrade_required": "a proxy on the way strips the upgrade to WebSocket",
    "proxy: HTTP 403": "the proxy forbids this host or port: allow it there, or list the host in "
    "the environment's NO_PROXY",
    "proxy: HTTP 405": "this proxy opens no tunnels (CONNECT): name another",
    "proxy: HTTP 500": _NO_WAY,
    "proxy: HTTP 502": _NO_WAY,
    "proxy: HTTP 503": _NO_WAY,
    "proxy: HTTP 504": _NO_WAY,
    CLOSED: "the server, or a proxy on the way, closed the connection; over https, the server may "
    "want a client certificate, or another: load it into the context of connect(verify=...)",
    "no answer in time": "the server, or a proxy or a firewall on the way, is silent",
    "no credentials": "the function for credentials failed: see the log",
}
"""What to do, by reason."""


def explain_failure(reason: str) -> str:
    """Return ``reason`` with its cure, if one is known."""
    cure = CURES.get(reason)
    return reason if cure is None else f"{reason}: {cure}"


def describe_refusal(status: str) -> str:
    """Return the reason for a connection if a proxy refuses it with this HTTP status."""
    return "HTTP 407" if status == "407" else f"proxy: HTTP {status}"


def describe_error(error: BaseException, proxy: str | None = None) -> str:
    """Return the reason for a connection that failed with ``error``.

    Args:
        error: what the library raised.
        proxy: the URL of the proxy, if there is one: it is then what the name and the port are of.
    """
    for cause in _causes(error):
        text = _text(cause)
        match cause:
            case ssl.SSLCertVerificationError():
                has_two = proxy is not None and is_secure(proxy)
                whose = "the server's or the proxy's" if has_two else "the server's"
                fault = _DISTRUST.get(cause.verify_code, _UNKNOWN_AUTHORITY)
                return f"TLS: {whose} certificate {fault} ({text})"
            case ssl.SSLEOFError():
                return CLOSED
            case ssl.SSLError(reason=str(alert)) if _ABOUT_CLIENT.search(alert):
                return f"TLS: {_UNWANTED} ({text})"
            case ssl.SSLError():
                return f"TLS failed; does the server speak https at this port? ({text})"
            case socket.gaierror() if proxy is not None:
                return f"the proxy's name is unknown: {_CHECK_PROXY} ({text})"
            case socket.gaierror():
                return f"the host's name is unknown: check the URL ({text})"
            case ConnectionRefusedError() if proxy is not None:
                return (
                    f"connection refused: no proxy listens at {public_url(proxy)}: "
                    f"{_CHECK_PROXY} ({text})"
                )
            case ConnectionRefusedError():
                return f"connection refused: no server listens at this host and port ({text})"
            case EOFError() | ConnectionError():
                return CLOSED
            case _ if "disconnected without sending" in text:  # httpx has no type for it
                return CLOSED
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
