"""The browser client as a file: compressed, cached and revalidated (RFC 9110)."""

from __future__ import annotations

import gzip
from importlib import resources

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from transport import Channel, Hub
from transport.testing import Answer, ask


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


SCRIPTS = ("client.js", "client.global.js", "reload.js", "websocket.js", "websocket.global.js")
NAMES = [name + end for name in SCRIPTS for end in ("", ".map")]


async def fetch(name: str = "client.js", method: str = "GET", **headers: str) -> Answer:
    fields = {key.replace("_", "-"): value for key, value in headers.items()}
    return await ask(Hub(silent), f"/{name}", method=method, headers=fields)


@pytest.mark.parametrize("name", NAMES)
async def test_client_is_served_compressed_to_browsers(name: str) -> None:
    source = (resources.files("transport") / "static" / name).read_bytes()
    plain = await fetch(name)
    packed = await fetch(name, accept_encoding="gzip, deflate, br, zstd")
    assert plain.body == source
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == source
    assert len(packed.body) < len(source) * 0.6
    assert packed.headers["content-length"] == str(len(packed.body))
    for answer in (plain, packed):
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["cache-control"] == "no-cache"
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert packed.headers.get("sourcemap") == plain.headers.get("sourcemap")


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("identity;q=0.5, gzip", True),
        ("gzip;q=0.001", True),
        ("br , gzip ; q=1", True),
        ("", False),
        ("br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=x", False),
        ("gzipped", False),
    ],
)
async def test_client_is_compressed_if_accepted(accepted: str, is_packed: bool) -> None:
    """RFC 9110 section 12.5.3."""
    answer = await fetch(accept_encoding=accepted)
    assert (answer.headers.get("content-encoding") == "gzip") is is_packed


async def test_each_variant_has_its_own_etag() -> None:
    """RFC 9110 section 8.8.3.3: a strong tag names one representation."""
    plain, packed = await fetch(), await fetch(accept_encoding="gzip")
    assert plain.headers["etag"] != packed.headers["etag"]
    for mine, other, accepted in ((plain, packed, "identity"), (packed, plain, "gzip")):
        tag = mine.headers["etag"]
        for known in (tag, f"W/{tag}", f'"older" , {tag}', f'{tag},"x"', "*", " * "):
            answer = await fetch(accept_encoding=accepted, if_none_match=known)
            assert (answer.status, answer.body) == (304, b""), known
            assert answer.headers["etag"] == tag
            assert answer.headers["vary"] == "Accept-Encoding"
            assert "content-length" not in answer.headers
        for unknown in (other.headers["etag"], "", tag.strip('"'), tag[:-2] + '"', "older", "**"):
            answer = await fetch(accept_encoding=accepted, if_none_match=unknown)
            assert answer.status == 200, unknown


@pytest.mark.parametrize("accepted", ["identity", "gzip"])
async def test_head_and_range_get_headers_of_whole_file(accepted: str) -> None:
    """A server may ignore `Range` (RFC 9110 section 14.2)."""
    whole = await fetch(accept_encoding=accepted)
    head = await fetch(method="HEAD", accept_encoding=accepted)
    ranged = await fetch(accept_encoding=accepted, range="bytes=0-9")
    assert (head.status, ranged.status) == (200, 200)
    assert head.headers == ranged.headers == whole.headers
    assert ranged.body == whole.body


async def test_gzip_middleware_does_not_compress_again() -> None:
    hub = Hub(silent)
    app = Starlette(
        routes=[Mount("/chat", app=hub)], middleware=[Middleware(GZipMiddleware, minimum_size=1)]
    )
    answer = await ask(app, "/chat/client.js", method="GET", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).startswith(b"//") or b"export" in gzip.decompress(
        answer.body
    )
