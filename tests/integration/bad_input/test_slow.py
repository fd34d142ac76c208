"""Bodies and opens that arrive too late, and a thousand bad requests."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.bad_input.attempts import (
    POSTS,
)
from tests.integration.bad_input.open_rows import opening
from tests.integration.bad_input.shared_server import SharedServer, check_clear
from tests.support.clients.tcp_client import (
    PING,
    TEXT,
    Closed,
    TcpClient,
    frame_bytes,
    request_bytes,
    tcp_client,
    tcp_clients,
    tcp_websocket,
)
from transport import codes


async def _trickle(http: TcpClient, request: bytes) -> None:
    """Write a byte now and then, until the answer arrives or the task is cancelled."""
    for index in range(len(request)):
        await http.write(request[index : index + 1])
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("form", ["nothing", "one byte", "trickle", "chunks"])
async def test_slow_body_returns_408(server: SharedServer, form: str) -> None:
    """HTTP-1: each kind of request gets 408 in time, and the connection ends."""

    async def one(target: str) -> None:
        async with tcp_client(server.port) as http:
            headers = {"content-length": "400"}
            if form == "chunks":
                headers = {"content-length": "", "transfer-encoding": "chunked"}
            await http.write(request_bytes("POST", target, headers=headers))
            body = b" " * 399 if form != "chunks" else b"1\r\n \r\n" * 100
            sending = asyncio.create_task(
                _trickle(http, {"nothing": b"", "one byte": b" "}.get(form, body))
            )
            try:
                answer = await http.answer()
            finally:
                sending.cancel()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            check_clear(answer.frames[0], "timeout", b"")
            await http.until_ended()

    await asyncio.gather(*map(one, ("/hasty/sse", "/hasty/poll", "/hasty/send")))


async def test_missing_open_ends_websocket(server: SharedServer) -> None:
    """OPN-9: the WebSocket ends, whatever other frames arrive. It had no session."""
    before = await server.opened("/hasty")

    async def one(wire: bytes) -> None:
        async with tcp_websocket(server.port, "/hasty/websocket") as socket:
            await socket.write(wire)
            while (frame := await socket.get()) == {"type": "pong"}:
                pass
            check_clear(frame, "timeout", b"")
            assert await socket.get() == Closed(codes.TIMEOUT.websocket)

    ping = frame_bytes(TEXT, b'{"type":"ping"}')
    half = frame_bytes(TEXT, opening(), fin=False)
    await asyncio.gather(*map(one, (b"", ping * 4, half, frame_bytes(PING, b"") * 500)))
    assert await server.opened("/hasty") == before


async def test_thousand_bad_posts_release_all_resources(server: SharedServer) -> None:
    """Every request gets a complete answer, and its resources are released."""
    before = await server.report()
    bad = [b"{", b"[1,0,1]", b"\xff", opening(attach=0), b"\n" * 2000]
    for _ in range(4):
        async with tcp_clients(server.port, 50) as wires:
            for index, wire in enumerate(wires):
                for body in bad:
                    await wire.write(request_bytes("POST", POSTS[index % 3], body))
                assert [(await wire.answer()).status // 100 for _ in bad] == [4] * 5
    await server.until_released(before)
