"""Bad requests: each is refused with a status and a body, and its connection persists or ends."""

from __future__ import annotations

import pytest

from tests.integration.bad_input.attempts import (
    POSTS,
)
from tests.integration.bad_input.open_rows import opening
from tests.integration.bad_input.rows import LIMITS, SECRET
from tests.integration.bad_input.shared_server import SharedServer, check_clear
from tests.support.clients.tcp_client import (
    Answer,
    request_bytes,
    tcp_client,
    tcp_websocket,
)
from transport import codes
from transport.codes import Code


async def check_request(
    server: SharedServer, request: bytes, code: Code, *, method: str = "POST", ends: bool = False
) -> Answer:
    """Check that a request is refused with a status and a body, and whether its connection ends."""
    async with tcp_client(server.port) as http:
        await http.write(request)
        answer = await http.answer(method)
        assert answer.status == code.status, answer
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/json"
        if method != "HEAD":
            check_clear(answer.frames[0], code.name, request.partition(b"\r\n")[0])
            assert SECRET.decode() not in answer.body.decode()
        assert (answer.headers.get("connection") == "close") is ends
        if ends:
            assert await http.until_ended() == b""
        else:
            await http.write(request_bytes("GET", "/report"))
            assert (await http.answer("GET")).status == 200
        return answer


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_method_is_refused(server: SharedServer, target: str, method: str) -> None:
    """HTTP-1: another method on the channel is refused."""
    request = request_bytes(method, target)
    answer = await check_request(server, request, codes.METHOD_NOT_ALLOWED, method=method)
    assert answer.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("name", ["client.js", "client.js.map", "websocket"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_method_on_static_file_is_refused(
    server: SharedServer, name: str, method: str
) -> None:
    """HTTP-1: another method on a static file is refused."""
    request = request_bytes(method, f"/chat/{name}", b"x")
    answer = await check_request(server, request, codes.METHOD_NOT_ALLOWED)
    assert "GET" in answer.headers["allow"]
    assert "POST" not in answer.headers["allow"]


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/json"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/x-ndjson; charset=utf-16"},
        {"content-type": "application/x-ndjson; charset=utf-8; charset=utf-16"},
        {"content-type": "application/x-ndjson, text/plain"},
        {"content-type": "application/x-ndjsonx"},
        {"content-type": ";"},
        {"content-type": "\xa0" + SECRET.decode()},
        {"content-encoding": "gzip"},
        {"content-encoding": "br"},
        {"content-encoding": "identity, gzip"},
        {"content-encoding": SECRET.decode()},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
async def test_other_type_or_compressed_body_is_refused(
    server: SharedServer, target: str, headers: dict[str, str]
) -> None:
    """HTTP-1: a body of another type, or a compressed body, is refused."""
    request = request_bytes("POST", target, opening(), headers=headers)
    await check_request(server, request, codes.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize(
    "extra",
    [("content-type", "text/plain"), ("content-encoding", "gzip")],
    ids=lambda pair: pair[0],
)
async def test_repeated_type_or_coding_is_refused(
    server: SharedServer, target: str, extra: tuple[str, str]
) -> None:
    """HTTP-1: a second header counts too."""
    request = request_bytes(
        "POST", target, opening(), headers={"content-encoding": "identity"}, extra=(extra,)
    )
    await check_request(server, request, codes.UNSUPPORTED_MEDIA_TYPE)


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize("size", [LIMITS.body + 1, 1_000_000, 12_000_000])
@pytest.mark.parametrize("form", ["declared", "chunked", "expected"])
async def test_body_beyond_limit_is_refused(
    server: SharedServer, target: str, size: int, form: str
) -> None:
    """HTTP-1: the 413 arrives even if data is still in transit, and the connection ends."""
    body = b"x" * size
    headers = {}
    if form == "chunked":
        headers = {"content-length": "", "transfer-encoding": "chunked"}
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    elif form == "expected":
        headers = {"expect": "100-continue", "content-length": str(size)}
    request = request_bytes("POST", target, body, headers=headers)
    if form == "expected":
        # A client that waits for 100 need not send the body.
        request = request[: -len(body)]
        async with tcp_client(server.port) as http:
            await http.write(request)
            answer = await http.answer()
            assert (answer.status, answer.interim) == (413, [])
            http.finish()
            assert await http.until_ended() == b""
        return
    answer = await check_request(server, request, codes.TOO_LARGE, ends=True)
    assert answer.frames[0]["limit"] == "body"


@pytest.mark.parametrize("target", POSTS)
async def test_declared_length_far_beyond_limit_is_refused(
    server: SharedServer, target: str
) -> None:
    """HTTP-1: the request is refused by its head."""
    async with tcp_client(server.port) as http:
        await http.write(
            request_bytes("POST", target, b"{", headers={"content-length": "999999999999"})
        )
        answer = await http.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        check_clear(answer.frames[0], "too_large", b"")


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize("chunked", [False, True])
async def test_empty_body_is_refused(server: SharedServer, target: str, chunked: bool) -> None:
    """FRM-2: an empty body is refused."""
    headers = {"content-length": "", "transfer-encoding": "chunked"} if chunked else {}
    body = b"0\r\n\r\n" if chunked else b""
    await check_request(
        server, request_bytes("POST", target, body, headers=headers), codes.BAD_JSON
    )


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "websockets",
        "client.jsx",
        SECRET.decode(),
        "client.js/../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/pyproject.toml",
        "__init__.py",
        "static",
        "%00",
        "client.js%00",
        "client.js%20",
        "CLIENT.JS",
        "%ff%fe",
        "%zz",
        "\\..\\client",
        "a" * 50_000,
        "sse;x=1",
        "poll%3Fx",
        ".",
        "..",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_unknown_path_is_refused(server: SharedServer, path: str, method: str) -> None:
    """HTTP-1: a name from a request never becomes a file path."""
    request = request_bytes(method, f"/chat/{path}")
    await check_request(server, request, codes.NOT_FOUND, method=method)


@pytest.mark.parametrize(
    "path",
    [
        "client.js",
        "client.js/",
        "x/../client.js",
        "%2e%2e/client.js",
        "%63lient.js",
        "client.js?x=../..",
        "client.js.map",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_odd_path_of_file_serves_that_file(
    server: SharedServer, path: str, method: str
) -> None:
    """Only the file's name counts."""
    async with tcp_client(server.port) as http:
        await http.write(request_bytes(method, f"/chat/{path}"))
        answer = await http.answer(method)
        assert answer.status == 200
        assert answer.headers["etag"]
        assert (answer.body != b"") is (method == "GET")


@pytest.mark.parametrize(
    "target",
    [
        "/chat/poll/",
        "/chat//poll",
        "/chat/x/poll",
        "/chat/%70oll",
        "/chat/poll?token=" + SECRET.decode(),
        "/chat/poll#x",
    ],
)
async def test_odd_path_of_channel_serves_that_channel(server: SharedServer, target: str) -> None:
    """The last segment names the transport."""
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", target, opening()))
        assert (await http.answer()).frames[0]["type"] == "opened"


async def test_stripped_upgrade_is_refused(server: SharedServer) -> None:
    """WS-3: it is refused at once, and a header says why."""
    for headers in ({}, {"connection": "upgrade"}, {"upgrade": "websocket"}):
        request = request_bytes("GET", "/chat/websocket", headers=headers)
        async with tcp_client(server.port) as http:
            await http.write(request)
            answer = await http.answer("GET")
            assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
            check_clear(answer.frames[0], "upgrade_required", b"")


ORIGINS: dict[str, dict[str, str]] = {
    "foreign": {"origin": "https://evil.example"},
    "null": {"origin": "null"},
    "null without a host": {"origin": "null", "host": ""},
    "garbage without a host": {"origin": SECRET.decode(), "host": ""},
    "file": {"origin": "file://"},
    "extension": {"origin": "chrome-extension://abcdefgh"},
    "suffix": {"origin": "http://127.0.0.1.evil.example"},
    "prefix": {"origin": "http://evil127.0.0.1"},
    "other port": {"origin": "http://127.0.0.1:1"},
    "trailing dot": {"origin": "http://127.0.0.1."},
    "user": {"origin": "http://127.0.0.1@evil.example"},
    "path": {"origin": "http://127.0.0.1/"},
    "without a scheme": {"origin": "127.0.0.1"},
    "10 KB": {"origin": "http://" + "x" * 10_000},
    "outside ASCII": {"origin": "http://127.0.0.1\xe9"},
    "two in one": {"origin": "http://127.0.0.1, http://127.0.0.1"},
    "star": {"origin": "*"},
    "cross-site without an origin": {"sec-fetch-site": "cross-site"},
    "same-site without an origin": {"sec-fetch-site": "same-site"},
    "port that is none": {"origin": "http://127.0.0.1:99999999999999999999"},
    "brackets": {"origin": "http://[::1"},
}


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize("name", ORIGINS)
async def test_foreign_origin_is_refused(server: SharedServer, target: str, name: str) -> None:
    """IDN-1, IDN-4: a request from a foreign origin is refused, and its page may read that."""
    before = await server.opened()
    request = request_bytes("POST", target, opening(), headers=ORIGINS[name])
    answer = await check_request(server, request, codes.FORBIDDEN_ORIGIN)
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed in (None, ORIGINS[name].get("origin"))
    assert "access-control-allow-credentials" not in answer.headers
    assert await server.opened() == before


@pytest.mark.parametrize("target", POSTS)
async def test_repeated_origin_is_refused(server: SharedServer, target: str) -> None:
    """IDN-1: a repeated Origin header is refused."""
    own = ("origin", "http://127.0.0.1")
    request = request_bytes("POST", target, opening(), extra=(own, own))
    await check_request(server, request, codes.FORBIDDEN_ORIGIN)


@pytest.mark.parametrize("name", [name for name in ORIGINS if name != "10 KB"])
async def test_foreign_origin_of_websocket_is_refused(server: SharedServer, name: str) -> None:
    """IDN-1, WS-2: refused before the upgrade. (uvicorn 0.54 never answers a header of 10 KB.)"""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.handshake("/chat/websocket", **ORIGINS[name])
        assert answer.status in (400, 403)  # 400: the server requires a Host
        assert SECRET not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/chat/nothing",
        "/chat/",
        "/chat/poll",
        "/chat/client.js",
        "/chat/%2e%2e",
        "/elsewhere",
        "/chat/" + SECRET.decode(),
    ],
)
async def test_unknown_path_of_websocket_is_refused(server: SharedServer, path: str) -> None:
    """WS-2: a WebSocket on an unknown path is refused."""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.handshake(path)
        assert answer.status in (403, 404)
        assert SECRET not in answer.body


async def test_foreign_subprotocol_is_not_chosen(server: SharedServer) -> None:
    """WS-1: a foreign subprotocol is not selected."""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.handshake(
            "/chat/websocket", **{"sec-websocket-protocol": "soap, graphql-ws"}
        )
        assert (answer.status, "sec-websocket-protocol" in answer.headers) == (101, False)


HEADERS: dict[str, tuple[str, str]] = {
    "a place in another stream": ("last-event-id", "99999999999999999999"),
    "a cookie of 100 KB": ("cookie", "a" * 100_000),
    "separators that are none": ("cookie", "a\x85b\xa0c"),
    "escapes of a terminal": ("user-agent", "a\x9b31m" + SECRET.decode()),
    "another address": ("x-forwarded-for", "' OR 1=1"),
    "a range": ("range", "bytes=" + "0-," * 1000),
    "a method of another kind": ("x-http-method-override", "DELETE"),
}


@pytest.mark.parametrize("target", POSTS[1:])
@pytest.mark.parametrize("name", HEADERS)
async def test_odd_header_is_ignored(server: SharedServer, target: str, name: str) -> None:
    request = request_bytes("POST", target, b"{", extra=(HEADERS[name],))
    await check_request(server, request, codes.BAD_JSON)
