"""Serves the built browser client from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from transport.server.adapters.exchange import Exchange

_TYPES = {".js": b"text/javascript; charset=utf-8", ".map": b"application/json"}

NAMES = tuple(
    name + ending
    for name in ("client.js", "client.global.js", "reload.js")
    for ending in ("", ".map")
)
"""The files that are served; a name from a request never becomes a path."""


@dataclass(frozen=True, slots=True)
class File:
    """A built file."""

    body: bytes
    media_type: bytes
    etag: str
    map: bytes | None
    """The name of its source map, in the same directory."""


def find(name: str) -> File | None:
    """Return the file of that name, or None."""
    return _load(name) if name in NAMES else None


@cache
def _load(name: str) -> File | None:
    path = resources.files("transport") / "static" / name
    if not path.is_file():
        return None
    body = path.read_bytes()
    etag = '"' + hashlib.sha256(body).hexdigest()[:20] + '"'
    source_map = f"{name}.map".encode() if f"{name}.map" in NAMES else None
    return File(body, _TYPES[name[name.rindex(".") :]], etag, source_map)


async def serve(exchange: Exchange, file: File) -> None:
    """Answer with the file, or with 304 if the browser has it."""
    headers = [
        (b"etag", file.etag.encode()),
        # It holds no secret, and pages of other origins may run it.
        (b"access-control-allow-origin", b"*"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
    if file.map is not None:
        # A header, because every page would load a comment in the file.
        headers.append((b"sourcemap", file.map))
    # Weak comparison (RFC 9110 section 13.1.2): a proxy that compresses makes the tag a weak one.
    if file.etag in (exchange.headers.first(b"if-none-match") or ""):
        await exchange.answer(b"", file.media_type, status=304, headers=headers, cache=b"no-cache")
    else:
        await exchange.answer(file.body, file.media_type, headers=headers, cache=b"no-cache")
