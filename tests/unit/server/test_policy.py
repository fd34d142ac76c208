"""Origins, identities and counts: PROTOCOL.md IDN-1, IDN-2, REN-1, and the limits of section 12."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.counted import counted
from transport import Channel, Hub, Identity, Limits
from transport.errors import ProtocolError
from transport.server.admission import Admission
from transport.server.headers import Headers
from transport.server.origins import OriginPolicy
from transport.testing import ask, denied, lines, opening, socket, stream


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


ALLOWED = [
    {},
    {"origin": "http://test"},
    {"origin": "https://test"},  # a proxy may terminate TLS
    {"origin": "HTTP://TEST"},
    {"origin": "http://test:8000", "host": "test:8000"},
    {"origin": "https://test", "host": "test:443"},
    {"origin": "http://[::1]:80", "host": "[::1]"},
    {"origin": "https://elsewhere.example", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"origin": "https://app.example"},
]
REFUSED = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "file://"},
    {"origin": "chrome-extension://abc"},
    {"origin": "https://test.evil.example"},
    {"origin": "https://eviltest"},
    {"origin": "http://test:8000"},
    {"origin": "http://test."},
    {"origin": "http://user@test"},
    {"origin": "http://test/"},
    {"origin": "test"},
    {"origin": ""},
    {"origin": "http://" + "x" * 10_000},
    {"origin": "http://tést"},
    {"origin": "http://app.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "http://test", "host": ""},
]


def headers_of(given: dict[str, str]) -> Headers:
    pairs = {"host": "test", **given}.items()
    return Headers({"headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs]})


@pytest.mark.parametrize("given", ALLOWED)
def test_same_origin_and_listed_origins_pass(given: dict[str, str]) -> None:
    """IDN-1."""
    OriginPolicy(["https://app.example"]).check(headers_of(given))


@pytest.mark.parametrize("given", REFUSED)
def test_other_origins_are_refused(given: dict[str, str]) -> None:
    """IDN-1."""
    with pytest.raises(ProtocolError, match="forbidden_origin"):
        OriginPolicy(["https://app.example"]).check(headers_of(given))


@pytest.mark.parametrize("name", ["origin", "host"])
def test_repeated_origin_header_is_refused(name: str) -> None:
    """IDN-1."""
    pairs = [(b"host", b"test"), (b"origin", b"http://test")]
    pairs.append((name.encode(), dict(pairs)[name.encode()]))
    with pytest.raises(ProtocolError, match="forbidden_origin"):
        OriginPolicy(None).check(Headers({"headers": pairs}))


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "app.example", "https://app.example/", "https://", "", "nul", "//app.example"),
        *("https://*.app.example", "https://app.example:443", "http://app.example:80"),
        *("https://app.example:99999", "https://app.example:", "https://app.example:x"),
        *("https://user@app.example", "https://app.example?x", "https://app.example#x"),
        *(" https://app.example", "https://app.example\n", "https://münchen.example"),
        *(None, 7, b"https://app.example"),
    ],
)
def test_hub_rejects_origin_no_browser_sends(origin: Any) -> None:
    """Such an entry would never match, and nothing would explain why."""
    with pytest.raises(ValueError, match="is not an origin: write it as browsers send it"):
        Hub(silent, origins=["https://app.example", origin])


@pytest.mark.parametrize(
    "origin",
    [
        *("https://app.example", "http://localhost:3000", "https://app.example:80"),
        *("HTTPS://App.Example", "http://[::1]:8000", "https://xn--mnchen-3ya.example"),
        *("capacitor://localhost", "chrome-extension://abcdefghijklmnop", "app://-"),
    ],
)
def test_origins_of_browsers_and_apps_can_be_listed(origin: str) -> None:
    """IDN-1: compared as a whole."""
    policy = OriginPolicy([origin])
    sent = origin.lower()
    assert policy.check(headers_of({"origin": sent})) == sent
    for other in (f"{sent}0", f"x{sent}", sent.replace("://", "://x")):
        with pytest.raises(ProtocolError):
            policy.check(headers_of({"origin": other}))


def test_origins_accept_any_iterable() -> None:
    origins: Any = (one for one in ["https://app.example"])
    OriginPolicy(origins).check(headers_of({"origin": "https://app.example"}))


def test_refused_origin_is_explained_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """IDN-1: if a proxy rewrites Host, the operator must act."""
    policy = OriginPolicy(None)
    for _ in range(3):
        with pytest.raises(ProtocolError, match=r"proxy rewrites Host, .* Hub\(origins="):
            policy.check(headers_of({"origin": "https://page.example"}))
    [record] = caplog.records
    assert record.getMessage().startswith("origin_refused")
    assert "list the public origin in Hub(origins=[...])" in record.getMessage()
    assert "page.example" not in caplog.text  # the header is text from the client


def test_origins_rejects_single_string() -> None:
    with pytest.raises(ValueError, match="must be a list"):
        Hub(silent, origins="https://app.example")


async def test_foreign_origin_is_refused_first_on_every_transport() -> None:
    """IDN-1."""

    async def never(connection: HTTPConnection, credentials: Any) -> Identity:
        raise AssertionError("authenticate was called")

    hub = Hub(silent, authenticate=never)
    foreign = {"origin": "https://evil.example"}
    for path in ("/sse", "/poll", "/send"):
        answer = await ask(hub, path, lines(opening()), headers=foreign)
        assert (answer.status, answer.frames[0]["code"]) == (403, "forbidden_origin")
        assert "access-control-allow-credentials" not in answer.headers
    assert (await denied(hub, "/websocket", foreign)).status == 403


async def test_listed_origin_gets_cors_headers() -> None:
    """IDN-1."""
    hub = Hub(silent, origins=["https://app.example"])
    listed = {"origin": "https://app.example"}
    for answer in (
        await ask(hub, "/poll", lines(opening()), headers=listed),
        await ask(hub, "/poll", b"{", headers=listed),
        await ask(hub, "/nothing", headers=listed),
        await ask(
            hub,
            "/send",
            method="OPTIONS",
            headers={**listed, "access-control-request-method": "POST"},
        ),
    ):
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"
    assert "content-type" in answer.headers["access-control-allow-headers"]
    assert answer.status == 204
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("path", ["/sse", "/poll", "/send"])
async def test_preflight_of_listed_origin_allows_credentials(path: str) -> None:
    """IDN-1."""
    hub = Hub(silent, origins=["https://app.example"])
    asks = {"access-control-request-method": "POST"}
    listed = {**asks, "origin": "https://app.example"}
    answer = await ask(hub, path, method="OPTIONS", headers=listed)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "POST" in answer.headers["access-control-allow-methods"]


async def test_listed_origin_opens_stream_and_websocket() -> None:
    """IDN-1."""
    hub = Hub(silent, origins=["https://app.example"])
    listed = {"origin": "https://app.example"}
    async with stream(hub, "/sse", opening(), headers=listed) as events:
        assert events.head.headers["access-control-allow-origin"] == "https://app.example"
        assert events.head.headers["vary"] == "Origin"
        assert (await events.frame())["type"] == "opened"
    async with socket(hub, "/websocket", listed) as ws:
        ws.send(opening(nonce="w" * 22))
        assert (await ws.frame())["type"] == "opened"


async def test_same_origin_gets_no_cors_headers() -> None:
    answer = await ask(Hub(silent), "/poll", lines(opening()), headers={"origin": "http://test"})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["client.js", "client.global.js"])
async def test_any_origin_may_load_client(name: str) -> None:
    """The script holds no secret; the connections that it opens are checked."""
    foreign = {"origin": "https://evil.example"}
    answer = await ask(Hub(silent), f"/{name}", method="GET", headers=foreign)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_forwarded_headers_are_ignored() -> None:
    """IDN-1: any client can send them, so only `Host` counts."""
    given = {"origin": "https://evil.example", "x-forwarded-host": "evil.example"}
    with pytest.raises(ProtocolError):
        OriginPolicy(None).check(headers_of({**given, "forwarded": "host=evil.example"}))


async def test_authenticate_gets_connection_and_credentials() -> None:
    """IDN-2, OPN-8."""
    calls: list[tuple[str | None, Any]] = []

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        calls.append((connection.headers.get("cookie"), credentials))
        return Identity("ada", user={"name": "Ada"}) if credentials == "good" else None

    users: list[Any] = []

    async def keeps(channel: Channel) -> None:
        users.append(channel.user)
        await silent(channel)

    hub = Hub(keeps, authenticate=check)
    refused = await ask(hub, "/poll", lines(opening(credentials="bad")), headers={"cookie": "c=1"})
    assert (refused.status, refused.frames[0]["code"]) == (401, "unauthorized")
    assert (await ask(hub, "/poll", lines(opening()))).status == 401
    opened = (await ask(hub, "/poll", lines(opening(credentials="good")))).frames[0]
    assert opened["verdict"] == "new"
    await asyncio.sleep(0)
    assert users == [{"name": "Ada"}]
    assert calls == [("c=1", "bad"), (None, None), (None, "good")]


async def test_other_subject_cannot_resume() -> None:
    """IDN-2, RES-9."""

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        return Identity(credentials)

    hub = Hub(silent, authenticate=check)
    opened = (await ask(hub, "/poll", lines(opening(credentials="ada")))).frames[0]
    stolen = opening(2, session=opened["session"], credentials="eve", nonce="e" * 22)
    answer = (await ask(hub, "/poll", lines(stolen))).frames[0]
    assert answer["verdict"] == "reset"
    assert answer["reset"]["reason"] == "unknown"
    assert answer["id"] != opened["id"]
    own = opening(3, session=opened["session"], credentials="ada")
    assert (await ask(hub, "/poll", lines(own))).frames[0]["verdict"] == "resumed"


async def test_failed_authenticate_asks_client_to_retry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(connection: HTTPConnection, credentials: Any) -> Identity | None:
        raise OSError("the database is unavailable")

    answer = await ask(Hub(silent, authenticate=broken), "/poll", lines(opening()))
    assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "the database is unavailable" in caplog.text
    assert "the database is unavailable" not in answer.body.decode()


async def test_expired_credentials_are_renewed_or_end_connection() -> None:
    """REN-1."""

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        match credentials:
            case "short":
                return Identity("ada", expires=time.time() + 0.1)
            case "long":
                return Identity("ada", expires=time.time() + 1000)
            case "eve":
                return Identity("eve")
            case _:
                return None

    async with socket(Hub(silent, authenticate=check), "/websocket") as ws:
        ws.send(opening(credentials="short"))
        await ws.frame()
        assert await ws.frame() == {"type": "renew", "within": 30.0}
        ws.send({"type": "renew", "credentials": "long"})
        ws.send({"type": "ping", "id": 1})
        assert await ws.frame() == {"type": "pong", "id": 1}
        ws.send({"type": "renew", "credentials": "eve"})
        assert (await ws.frame())["code"] == "unauthorized"
        assert await ws.closed() == 4401


async def test_close_user_ends_sessions_of_that_user() -> None:
    """IDN-2."""

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        return Identity(credentials)

    hub = Hub(silent, authenticate=check)
    async with socket(hub, "/websocket") as ada, socket(hub, "/websocket") as bob:
        for ws, name in ((ada, "ada"), (bob, "bob")):
            ws.send(opening(credentials=name))
            await ws.frame()
        await hub.close_user("ada")
        assert (await ada.frame())["code"] == 4401
        bob.send({"type": "ping"})
        assert await bob.frame() == {"type": "pong"}


LIMITS = Limits(sessions=4, sessions_per_subject=2, sessions_per_address=3, opens_per_second=5)


def test_sessions_are_counted_by_process_subject_address() -> None:
    """Section 12: at the bound, one above it, and after a release."""
    admission = Admission(LIMITS)
    admission.count_session("ada", "a", 0.0)
    admission.count_session("ada", "b", 0.0)
    with pytest.raises(ProtocolError, match="sessions_per_subject"):
        admission.count_session("ada", "c", 0.0)
    admission.count_session("", "a", 0.0)
    admission.count_session("", "a", 0.0)
    with pytest.raises(ProtocolError, match=r"\(sessions="):
        admission.count_session("", "c", 0.0)
    admission.release_session("ada", "b")
    with pytest.raises(ProtocolError, match="sessions_per_address"):
        admission.count_session("bob", "a", 0.0)
    admission.count_session("ada", "c", 0.0)


def test_opens_are_counted_by_address_and_second() -> None:
    """Section 12."""
    admission = Admission(LIMITS)
    for _ in range(5):
        admission.count_opening("a", 10.0)
    with pytest.raises(ProtocolError, match="opens_per_second") as caught:
        admission.count_opening("a", 10.9)
    assert caught.value.extra["retry_in"] == 1.0
    admission.count_opening("b", 10.9)
    admission.count_opening("a", 11.0)
    admission.sweep(20.0)
    admission.count_opening("a", 20.0)


async def test_too_many_returns_429_with_retry_after() -> None:
    """Section 12."""
    hub = Hub(silent, limits=Limits(sessions=1))
    await ask(hub, "/poll", lines(opening()))
    answer = await ask(hub, "/poll", lines(opening(nonce="another-nonce-0123456789")))
    assert (answer.status, answer.frames[0]["limit"]) == (429, "sessions")
    assert answer.headers["retry-after"] == "5"
    assert counted(hub).sessions == 1
