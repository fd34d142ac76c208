"""Origins by the server's scheme, and what a page of a refused origin may read (IDN-1, IDN-4)."""

from __future__ import annotations

import json

import pytest

from tests.support.counted import counted
from transport import Channel, Hub
from transport.errors import ProtocolError
from transport.server.headers import Headers
from transport.server.origins import OriginPolicy
from transport.testing import ask, denied, lines, opening, scope_of, socket


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


FOREIGN = "https://evil.example"


def is_let_in(scheme: str, origin: str, *listed: str, host: str = "test", site: str = "") -> bool:
    headers = {"host": host, "origin": origin, **({"sec-fetch-site": site} if site else {})}
    scope = scope_of("http", "/poll", headers, scheme=scheme)
    try:
        OriginPolicy(listed).check(Headers(scope), scheme)
    except ProtocolError as error:
        assert error.code.name == "forbidden_origin"  # noqa: PT017 - either result is valid
        return False
    return True


@pytest.mark.parametrize("secure", ["https", "wss"])
def test_http_origin_is_foreign_to_https_server(secure: str) -> None:
    """IDN-1: whoever controls the network controls every page that was loaded without TLS."""
    assert not is_let_in(secure, "http://test")
    assert not is_let_in(secure, "http://test:443", host="test:443")
    assert is_let_in(secure, "https://test")
    assert is_let_in(secure, "https://test:8443", host="test:8443")
    assert is_let_in(secure, "http://test", "http://test")


@pytest.mark.parametrize("plain", ["http", "ws"])
def test_https_origin_is_let_in_where_tls_may_end_before(plain: str) -> None:
    """IDN-1: a proxy may terminate TLS, and the server cannot know."""
    assert is_let_in(plain, "https://test")
    assert is_let_in(plain, "http://test")


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
@pytest.mark.parametrize("origin", ["ftp", "ws", "wss", "file", "chrome-extension", "app", "x"])
def test_other_schemes_match_by_list_only(scheme: str, origin: str) -> None:
    """IDN-1: that the host has the same name means nothing in another scheme."""
    assert not is_let_in(scheme, f"{origin}://test")
    assert is_let_in(scheme, f"{origin}://test", f"{origin}://test")


@pytest.mark.parametrize("origin", ["null", "file://"])
def test_origins_without_host_can_be_listed(origin: str) -> None:
    """IDN-1: browsers send them for files, sandboxed frames and some embedded pages."""
    assert not is_let_in("http", origin)
    assert is_let_in("http", origin, origin)
    assert is_let_in("http", origin, "https://app.example", origin.upper())


def test_same_origin_by_browser_is_let_in_behind_any_proxy() -> None:
    """IDN-1: `Sec-Fetch-Site` cannot be set by a page."""
    assert is_let_in("http", "https://public.example", host="internal:8000", site="same-origin")


async def test_scheme_of_websocket_scope_is_checked() -> None:
    """IDN-1."""
    hub = Hub(silent)

    async def secure(scope, receive, send):  # type: ignore[no-untyped-def]
        await hub({**scope, "scheme": "wss"}, receive, send)

    assert (await denied(secure, "/websocket", {"origin": "http://test"})).status == 403
    async with socket(secure, "/websocket", {"origin": "https://test"}):
        pass


async def test_preflight_of_refused_origin_is_answered() -> None:
    """IDN-4: else the browser hides the refusal from exactly the page that it concerns."""
    asks = {"origin": FOREIGN, "access-control-request-method": "POST"}
    for path in ("/sse", "/poll", "/send", "/nothing"):
        answer = await ask(Hub(silent), path, method="OPTIONS", headers=asks)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == FOREIGN
        assert "access-control-allow-credentials" not in answer.headers
        assert "content-type" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-max-age"] == "0"  # it may be listed soon
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("path", ["/sse", "/poll", "/send", "/websocket", "/nothing", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
async def test_refused_origin_reads_nothing_but_its_refusal(path: str, method: str) -> None:
    """IDN-4."""
    hub = Hub(silent)
    answer = await ask(hub, path, lines(opening()), method=method, headers={"origin": FOREIGN})
    assert answer.status == 403
    error = json.loads(answer.body)
    assert (error["type"], error["code"]) == ("error", "forbidden_origin")
    assert answer.headers["access-control-allow-origin"] == FOREIGN
    assert "access-control-allow-credentials" not in answer.headers
    assert counted(hub).opened == 0


async def test_refusal_of_opaque_origin_can_be_read() -> None:
    """IDN-4: a page in a sandboxed frame has the origin ``null``."""
    answer = await ask(Hub(silent), "/poll", lines(opening()), headers={"origin": "null"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (403, "null")


@pytest.mark.parametrize("origin", ["a\r\nb", "t\u00e9st", "", "a b", "x" * 300])
async def test_malformed_origin_is_not_echoed(origin: str) -> None:
    """IDN-4: no browser sends it."""
    headers = {"origin": origin, "sec-fetch-site": "cross-site"}
    answer = await ask(Hub(silent), "/poll", lines(opening()), headers=headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_headers_of_cors_are_those_of_the_document() -> None:
    """IDN-4: for a page of a listed origin, one of another, and one of the server's own."""
    hub = Hub(silent, origins=["https://listed.example"])
    readable = {
        "vary": "Origin",
        "access-control-allow-origin": "https://listed.example",
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "Retry-After",
    }
    asked = {
        "access-control-allow-methods": "POST, GET",
        "access-control-allow-headers": "content-type, authorization",
        "access-control-max-age": "7200",
    }
    refused = {"vary": "Origin", "access-control-allow-origin": FOREIGN}

    async def headers(origin: str, **further: str) -> dict[str, str]:
        method = "OPTIONS" if further else "POST"
        sent = {"origin": origin, **further}
        answer = await ask(hub, "/poll", lines(opening()), method=method, headers=sent)
        shown = ("vary", "access-control-")
        return {name: one for name, one in answer.headers.items() if name.startswith(shown)}

    preflight = {"access-control-request-method": "POST"}
    assert await headers("https://listed.example") == readable
    assert await headers("https://listed.example", **preflight) == readable | asked
    assert await headers(FOREIGN) == refused
    asked["access-control-max-age"] = "0"
    assert await headers(FOREIGN, **preflight) == refused | asked
    assert await headers("http://test") == {"vary": "Origin"}


async def test_listed_origin_keeps_its_credentials() -> None:
    """IDN-1."""
    hub = Hub(silent, origins=["null"])
    answer = await ask(hub, "/poll", lines(opening()), headers={"origin": "null"})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "null"
    assert answer.headers["access-control-allow-credentials"] == "true"
