"""Answers a GET of the mount: the console page, or one line that says what is here.

The page is one file with its script and its style, which its Content-Security-Policy allows by
their hashes. So it works at any URL that leads to the hub, with and without a trailing slash, and
behind proxies that strip a prefix: only the browser knows that URL. The page holds no secret and
connects to nothing by itself. What it connects is authenticated and checked like any other page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from starlette.types import Scope

from transport.server.adapters import static_files
from transport.server.adapters.exchange import Exchange
from transport.server.headers import Headers

HTML = b"text/html; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"

WHAT_IS_HERE = (
    b"This is a onechannel hub. Pages load client.js from below this URL, and connect with "
    b'new Channel("<the path of this URL>"). '
)
TO_GET_CONSOLE = b"For a page to try it by hand, write Hub(handler, console=True).\n"
TO_OPEN_CONSOLE = b"Open this URL in a browser for its console page.\n"

_HOST = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,252}(?::[0-9]{1,5})?", re.IGNORECASE)
"""A ``Host`` that may be written into a policy, which has no syntax for IPv6 addresses."""

_INLINE = re.compile(rb"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL)


def is_mount(scope: Scope) -> bool:
    """Return whether the request's path is that of the hub itself.

    With ``--root-path``, some servers put the prefix into ``path`` too, and others do not.
    """
    mount: str = scope.get("root_path", "")
    prefix: str = scope.get("app_root_path", mount)
    path: str = scope.get("path", "")
    return path.rstrip("/") in (mount.rstrip("/"), mount.removeprefix(prefix).rstrip("/"))


async def serve(exchange: Exchange, *, has_console: bool) -> None:
    """Answer with the console page if there is one and HTML is accepted, otherwise with a line."""
    if has_console and _accepts_html(exchange.headers):
        page, policy = _load()
        headers = [(b"content-security-policy", policy + _sockets(exchange.headers))]
        await static_files.serve(exchange, page, headers)
        return
    line = WHAT_IS_HERE + (TO_OPEN_CONSOLE if has_console else TO_GET_CONSOLE)
    await exchange.answer(line, TEXT, headers=[(b"vary", b"Accept")])


@cache
def _load() -> tuple[static_files.File, bytes]:
    """Return the page, and its policy but for the last sources of ``connect-src``."""
    body = (resources.files("transport") / "static" / "console.html").read_bytes()
    hashes = {kind: _hash(text) for kind, text in _INLINE.findall(body)}
    directives = (
        b"default-src 'none'",
        b"script-src 'self' " + hashes[b"script"],
        b"style-src " + hashes[b"style"],
        b"img-src data:",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"connect-src 'self'",
    )
    headers = (
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )
    page = static_files.make_file(body, HTML, headers, vary=b"Accept, Accept-Encoding")
    return page, b"; ".join(directives)


def _hash(text: bytes) -> bytes:
    return b"'sha256-%s'" % base64.b64encode(hashlib.sha256(text).digest())


def _sockets(headers: Headers) -> bytes:
    """Return the WebSockets of this host as sources: older Safari does not count them as 'self'."""
    hosts = headers.every(b"host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return b""
    host = hosts[0].encode()
    return b" ws://%s wss://%s" % (host, host)


def _accepts_html(headers: Headers) -> bool:
    """Return whether HTML is accepted by name, as browsers do that open a URL."""
    for item in ",".join(headers.every(b"accept")).lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        if kind == "text/html":
            return not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return False
