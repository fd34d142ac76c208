"""The built browser client, served by the hub from memory."""

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
"""What may be asked for; no name from a request ever becomes a path."""


@dataclass(frozen=True, slots=True)
class File:
    """A built file."""

    body: bytes
    media_type: bytes
    etag: str
    map: bytes | None
    """The name of its source map, beside it."""


def find(name: str) -> File | None:
    """The file of that name, None where there is none."""
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
    """Answer with the file, or with 304 where the browser has it."""
    headers = [
        (b"etag", file.etag.encode()),
        # No secret is in it, and pages of other origins may run it.
        (b"access-control-allow-origin", b"*"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
    if file.map is not None:
        # Not by a comment in the file, which every page would load.
        headers.append((b"sourcemap", file.map))
    # Weak comparison (RFC 9110 section 13.1.2): a proxy that compresses makes the tag weak.
    if file.etag in (exchange.headers.first(b"if-none-match") or ""):
        await exchange.answer(b"", file.media_type, status=304, headers=headers, cache=b"no-cache")
    else:
        await exchange.answer(file.body, file.media_type, headers=headers, cache=b"no-cache")
