"""Serves built files, those of the browser client, from memory, compressed if that is accepted."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from transport.server.adapters.exchange import Exchange
from transport.server.headers import Headers

_TYPES = {".js": b"text/javascript; charset=utf-8", ".map": b"application/json"}

NAMES = tuple(
    name + ending
    for name in (
        "client.js",
        "client.global.js",
        "reload.js",
        "websocket.js",
        "websocket.global.js",
    )
    for ending in ("", ".map")
)
"""The files that are served; a name from a request never becomes a path."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One representation of a file, with an entity tag of its own (RFC 9110 section 8.8.3.3)."""

    body: bytes
    etag: str
    coding: bytes | None


@dataclass(frozen=True, slots=True)
class File:
    """A built file."""

    media_type: bytes
    plain: Variant
    packed: Variant
    """The same, compressed with gzip."""
    headers: tuple[tuple[bytes, bytes], ...]
    """The headers of each answer, besides those of its representation."""
    vary: bytes
    """The headers of a request that select what its URL answers."""


_OF_SCRIPTS: tuple[tuple[bytes, bytes], ...] = (
    # A script holds no secret, and pages of other origins may run it.
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)


def find(name: str) -> File | None:
    """Return the file of that name, or None."""
    return _load(name) if name in NAMES else None


@cache
def _load(name: str) -> File | None:
    """Read and compress a file. That is done once in a process, and takes some milliseconds."""
    path = resources.files("transport") / "static" / name
    if not path.is_file():
        return None
    headers = _OF_SCRIPTS
    if f"{name}.map" in NAMES:
        # A header, because every page would load a comment in the file.
        headers = (*headers, (b"sourcemap", f"{name}.map".encode()))
    return make_file(path.read_bytes(), _TYPES[name[name.rindex(".") :]], headers)


def make_file(
    body: bytes,
    media_type: bytes,
    headers: tuple[tuple[bytes, bytes], ...],
    vary: bytes = b"Accept-Encoding",
) -> File:
    """Compress a file, and name its representations."""
    tag = hashlib.sha256(body).hexdigest()[:20]
    return File(
        media_type,
        Variant(body, f'"{tag}"', None),
        Variant(gzip.compress(body, 9, mtime=0), f'"{tag}-gzip"', b"gzip"),
        headers,
        vary,
    )


async def serve(
    exchange: Exchange, file: File, further: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with the file, or with 304 if the browser has it.

    Args:
        exchange: the request.
        file: what it asks for.
        further: headers of this answer, besides those of the file.
    """
    variant = file.packed if _accepts_gzip(exchange.headers) else file.plain
    headers = [
        (b"etag", variant.etag.encode()),
        (b"vary", file.vary),
        *file.headers,
        *further,
    ]
    if _has(exchange.headers, variant.etag):
        await exchange.answer(b"", file.media_type, status=304, headers=headers, cache=b"no-cache")
        return
    if variant.coding is not None:
        headers.append((b"content-encoding", variant.coding))
    await exchange.answer(variant.body, file.media_type, headers=headers, cache=b"no-cache")


def _has(headers: Headers, etag: str) -> bool:
    """Return whether the browser has a representation with this tag, or any (``*``).

    The comparison is weak (RFC 9110 section 13.1.2): a proxy that compresses makes a tag weak.
    """
    known = [tag.strip() for tag in ",".join(headers.every(b"if-none-match")).split(",")]
    return known == ["*"] or etag in [tag.removeprefix("W/") for tag in known]


def _accepts_gzip(headers: Headers) -> bool:
    """Return whether gzip is accepted, and not less than no coding (RFC 9110 section 12.5.3)."""
    weights: dict[str, float] = {}
    for item in ",".join(headers.every(b"accept-encoding")).lower().split(","):
        coding, _, parameter = item.partition(";")
        weights[coding.strip().removeprefix("x-")] = _weight(parameter.replace(" ", ""))
    weight = weights.get("gzip", weights.get("*", 0.0))
    return weight > 0 and weight >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    if not parameter:
        return 1.0
    try:
        return float(parameter.removeprefix("q="))
    except ValueError:
        return 0.0
