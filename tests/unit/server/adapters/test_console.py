"""A GET of the mount: the console page, or a line that says what is here."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from transport import Channel, Hub
from transport.testing import Answer, ask

NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
"""The ``Accept`` of a browser that opens a URL."""


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


HUB = Hub(silent, console=True)


async def fetch(app: ASGIApp = HUB, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    fields = {"accept": NAVIGATION} | {key.replace("_", "-"): v for key, v in headers.items()}
    return await ask(app, path, method=method, headers=fields)


def policy(answer: Answer) -> dict[str, list[str]]:
    """Return the directives of the Content-Security-Policy, each with its sources."""
    directives = answer.headers["content-security-policy"].split("; ")
    return {name: sources for name, *sources in (each.split(" ") for each in directives)}


def is_console(answer: Answer) -> bool:
    return answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"


async def test_console_has_headers_of_strict_page() -> None:
    answer = await fetch(host="chat.example:8000")
    assert is_console(answer)
    [style, script] = re.findall(rb"<(?:script|style)[^>]*>(.+?)</", answer.body, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text).digest()).decode() for text in (style, script)]
    assert policy(answer) == {
        "default-src": ["'none'"],
        "script-src": ["'self'", f"'sha256-{hashes[1]}'"],
        "style-src": [f"'sha256-{hashes[0]}'"],
        # Older Safari does not count WebSockets as 'self'.
        "connect-src": ["'self'", "ws://chat.example:8000", "wss://chat.example:8000"],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"
    assert headers["vary"] == "Accept, Accept-Encoding"
    assert not [name for name in headers if name.startswith("access-control")]


class Attributes(HTMLParser):
    """Collects the elements of a page, and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


async def test_console_page_has_no_code_in_attributes() -> None:
    page = Attributes()
    page.feed((await fetch()).body.decode())
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        assert "src" not in attributes, tag
        assert tag != "link" or str(attributes["href"]).startswith("data:"), tag


@pytest.mark.parametrize(
    "host",
    ["evil; script-src *", "a b", "a,b", "", "'self'", "*", "[::1]:8000", "a:b", "x" * 300],
)
async def test_odd_host_adds_nothing_to_policy(host: str) -> None:
    """CSP has no syntax for an IPv6 address."""
    assert policy(await fetch(host=host))["connect-src"] == ["'self'"]


async def test_console_is_compressed_and_revalidated() -> None:
    plain, packed = await fetch(), await fetch(accept_encoding="gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < 8192
    known = packed.headers["etag"]
    unchanged = await fetch(accept_encoding="gzip", if_none_match=known)
    assert (unchanged.status, unchanged.body) == (304, b"")
    # A browser takes the headers of a 304 for the page that it has.
    assert policy(unchanged) == policy(packed)
    line = await fetch(accept="*/*", if_none_match=known)
    assert (line.status, line.headers["content-type"]) == (200, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (NAVIGATION, True),
        ("text/html", True),
        ("TEXT/HTML;charset=utf-8;q=0.1", True),
        ("text/html;q=0, */*", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json, text/plain", False),
        ("text/htmlx", False),
        ("", False),
    ],
)
async def test_console_is_for_those_that_accept_html(accept: str, is_page: bool) -> None:
    answer = await fetch(accept=accept)
    assert is_console(answer) is is_page
    assert answer.headers["vary"].startswith("Accept")


@pytest.mark.parametrize("accept", [NAVIGATION, "*/*"])
async def test_mount_without_console_says_what_is_here(accept: str) -> None:
    answer = await fetch(Hub(silent), accept=accept)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    text = answer.body.decode()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    for word in ("onechannel", "client.js", "new Channel(", "console=True"):
        assert word in text


async def test_line_of_console_says_how_to_get_it() -> None:
    answer = await fetch(accept="*/*")
    assert "in a browser" in answer.body.decode()
    assert "console=True" not in answer.body.decode()


async def test_head_gets_headers_of_page() -> None:
    assert (await fetch(method="HEAD")).headers == (await fetch()).headers


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
        {"sec_fetch_site": "same-site", "referer": "https://docs.example/"},
        {"cookie": "session=unknown"},
    ],
    ids=["link", "sibling", "cookie"],
)
async def test_console_opens_from_link_without_identity(headers: dict[str, str]) -> None:
    """The page holds no secret; the connections that it opens are checked."""

    async def nobody(connection: Any, credentials: object) -> None:
        raise AssertionError("only connections are authenticated")

    hub = Hub(silent, console=True, authenticate=nobody, origins=["https://app.example"])
    assert is_console(await fetch(hub, **headers))


@pytest.mark.parametrize("hub", [HUB, Hub(silent)], ids=["console", "line"])
async def test_foreign_page_cannot_fetch_mount(hub: Hub) -> None:
    """IDN-4: like anything else, it gets the refusal only."""
    answer = await fetch(hub, origin="https://evil.example")
    assert (answer.status, answer.headers["content-type"]) == (403, "application/json")


def under(prefix: str, app: ASGIApp, *, strips: bool = False) -> ASGIApp:
    """Serve ``app`` as hosts do with ``--root-path``. Some of them strip the prefix."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(prefix) if strips else scope["path"]
        await app({**scope, "path": path, "root_path": prefix}, receive, send)

    return serve


FASTAPI = FastAPI()
FASTAPI.mount("/chat", HUB)
STARLETTE = Starlette(routes=[Mount("/chat", app=HUB)])
NESTED = Starlette(routes=[Mount("/a", app=Router(routes=[Mount("/chat", app=HUB)]))])


@pytest.mark.parametrize(
    ("app", "path"),
    [
        (HUB, "/"),
        (HUB, ""),
        (HUB, "//"),
        (under("/pre", HUB), "/pre"),
        (under("/pre", HUB), "/pre/"),
        (under("/pre", HUB, strips=True), "/pre/"),
        (STARLETTE, "/chat/"),
        (Starlette(routes=[Mount("/", app=HUB)]), "/"),
        (Starlette(routes=[Mount("/{room}", app=HUB)]), "/7/"),
        (Starlette(routes=[Mount("/sse", app=HUB)]), "/sse/"),
        (NESTED, "/a/chat/"),
        (under("/pre", NESTED), "/pre/a/chat/"),
        (under("/pre", STARLETTE), "/pre/chat/"),
        (under("/pre", STARLETTE, strips=True), "/pre/chat/"),
        (FASTAPI, "/chat/"),
        (under("/pre", FASTAPI), "/pre/chat/"),
        (under("/pre", FASTAPI, strips=True), "/pre/chat/"),
    ],
)
async def test_console_is_at_mount_under_any_path(app: ASGIApp, path: str) -> None:
    assert is_console(await fetch(app, path))
    assert (await fetch(app, f"{path}/room-7".replace("//", "/"))).status == 404


@pytest.mark.parametrize("path", ["/chat", "/chat?lang=de"])
async def test_mount_without_slash_leads_to_console(path: str) -> None:
    answer = await fetch(STARLETTE, path)
    assert answer.status == 307
    assert answer.headers["location"] == "http://test" + path.replace("chat", "chat/")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_mount_refuses_other_methods(method: str) -> None:
    assert (await fetch(method=method)).status == 404


async def test_console_must_be_true_or_false() -> None:
    wrong: Any = "yes"
    with pytest.raises(TypeError, match="console must be True or False, not 'yes'"):
        Hub(silent, console=wrong)
