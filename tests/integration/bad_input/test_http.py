"""Bad input below the protocol's frames: HTTP and TCP."""

from __future__ import annotations

import pytest

from tests.integration.bad_input.attempts import (
    POSTS,
)
from tests.integration.bad_input.offender import offender
from tests.integration.bad_input.open_rows import opening
from tests.integration.bad_input.shared_server import SharedServer
from tests.support.clients.frame_client import encode
from tests.support.clients.tcp_client import (
    request_bytes,
    tcp_client,
)

BROKEN: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
    "a chunk of nonsense": (
        request_bytes(
            "POST",
            "/chat/poll",
            b"zz\r\n",
            headers={"content-length": "", "transfer-encoding": "chunked"},
        ),
        (400,),
    ),
    "length and chunks": (
        request_bytes("POST", "/chat/poll", b"0\r\n\r\n", headers={"transfer-encoding": "chunked"}),
        (400,),
    ),
    "negative length": (
        request_bytes("POST", "/chat/poll", b"", headers={"content-length": "-1"}),
        (400,),
    ),
    "two lengths": (
        request_bytes("POST", "/chat/poll", b"{}", extra=(("content-length", "9"),)),
        (400,),
    ),
    "a length that is no number": (
        request_bytes("POST", "/chat/poll", b"", headers={"content-length": "ten"}),
        (400,),
    ),
    "no target": (b"POST  HTTP/1.1\r\nhost: x\r\n\r\n", (400,)),
    "an unknown method": (b"HUNTER /chat/poll HTTP/1.1\r\nhost: x\r\n\r\n", (400, 405)),
    "HTTP/0.9": (b"GET /chat/poll\r\n\r\n", (400, 405)),
    "a tunnel": (b"CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n", (400, 404, 405)),
    "an upgrade to HTTP/2": (
        request_bytes(
            "GET", "/chat/websocket", headers={"connection": "upgrade", "upgrade": "h2c"}
        ),
        (426,),
    ),
    "a request of a proxy": (
        b"GET http://evil.example/chat/poll HTTP/1.1\r\nhost: x\r\n\r\n",
        (400, 404, 405),
    ),
}
"""Requests that rarely or never reach the hub: the server answers them."""


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_request_harms_no_other_client(server: SharedServer, name: str) -> None:
    """The host handles it, and no other client is affected."""
    request, statuses = BROKEN[name]
    async with tcp_client(server.port) as http:
        await http.write(request)
        answer = await http.head()
        assert answer.status in statuses


async def test_body_longer_than_declared_ends_connection(server: SharedServer) -> None:
    """The excess is read as the next request, which is invalid: the server ends the connection."""
    body = opening()
    async with tcp_client(server.port) as http:
        length = {"content-length": str(len(body))}
        await http.write(request_bytes("POST", "/chat/poll", body + b"garbage", headers=length))
        assert (await http.head()).status in (200, 400)
        await http.until_ended()


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_pipelined_requests_get_one_answer_each(server: SharedServer, transport: str) -> None:
    """Bad requests get their errors, and good requests between them get their answers."""
    async with offender(transport, server.port) as session:
        head = encode(session.head()).encode()
        bodies = [b"{", head + b'\n[2,0,"a"]', b"", head + b'\n[3,0,"b"]']
        requests = [request_bytes("POST", "/chat/send", body) for body in bodies]
        async with tcp_client(server.port) as http:
            await http.write(b"".join(requests))
            answers = [await http.answer() for _ in requests]
        assert [answer.status for answer in answers] == [400, 200, 400, 200]
        session.sent = 3
        while len(session.messages) < 3:
            await session.receive_next()
        assert session.messages == ["kept", "a", "b"]


async def test_expect_100_is_answered_with_continue(server: SharedServer) -> None:
    body = opening()
    headers = {"expect": "100-continue", "content-length": str(len(body))}
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", "/chat/poll", headers=headers))
        assert await http.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await http.write(body)
        assert (await http.answer()).frames[0]["type"] == "opened"


async def test_http_1_0_is_answered_and_closed(server: SharedServer) -> None:
    """An old proxy gets complete refusals and answers, and the connection ends."""
    for body, kind in ((opening(), "opened"), (b"{", "error")):
        async with tcp_client(server.port) as http:
            await http.write(request_bytes("POST", "/chat/poll", body, version="1.0"))
            assert (await http.answer()).frames[0]["type"] == kind
            assert await http.until_ended() == b""


@pytest.mark.parametrize("target", POSTS)
@pytest.mark.parametrize("sent", [b"", b'{"type":"op'])
async def test_half_request_makes_no_session(
    server: SharedServer, target: str, sent: bytes
) -> None:
    """Nothing is accepted, answered or logged."""
    before = await server.opened()
    length = {"content-length": "5000"}
    for half_closed in (True, False):
        async with tcp_client(server.port) as http:
            await http.write(request_bytes("POST", target, sent, headers=length))
            if half_closed:
                http.finish()
                assert await http.until_ended() == b""
    assert await server.opened() == before


async def test_half_post_of_session_is_not_accepted(server: SharedServer) -> None:
    """Even its complete lines are not accepted, because the client may repeat the POST."""
    async with offender("sse", server.port) as session:
        body = encode(session.head()).encode() + b'\n[2,0,"never"]\n[3,0,"ne'
        async with tcp_client(server.port) as http:
            length = {"content-length": str(len(body) + 9)}
            await http.write(request_bytes("POST", "/chat/send", body, headers=length))
            http.finish()
            assert await http.until_ended() == b""
        await session.exchange("next")
        await session.check_resume()
