"""Bad input below the protocol's frames: WebSockets (RFC 6455)."""

from __future__ import annotations

import zlib

import pytest

from tests.integration.bad_input.attempts import (
    open_anew,
)
from tests.integration.bad_input.offender import offender
from tests.integration.bad_input.open_rows import opening
from tests.integration.bad_input.rows import SECRET
from tests.integration.bad_input.shared_server import SharedServer, check_clear
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS
from tests.support.clients.tcp_client import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Closed,
    frame_bytes,
    request_bytes,
    tcp_websocket,
)
from transport import codes

VIOLATIONS: dict[str, tuple[bytes, tuple[int | None, ...]]] = {
    "not masked": (frame_bytes(TEXT, b"{}", masked=False), (1002,)),
    "a reserved bit": (frame_bytes(TEXT, b"{}", reserved=1), (1002,)),
    "compressed, which was not agreed": (frame_bytes(TEXT, b"{}", reserved=4), (1002,)),
    "a reserved opcode": (frame_bytes(3, b"{}"), (1002,)),
    "a reserved control opcode": (frame_bytes(11, b""), (1002,)),
    "a fragmented ping": (frame_bytes(PING, b"", fin=False), (1002,)),
    "a ping of 126 bytes": (frame_bytes(PING, bytes(126)), (1002,)),
    "a continuation of nothing": (frame_bytes(CONTINUATION, b"x"), (1002,)),
    "a text within a text": (
        frame_bytes(TEXT, b"a", fin=False) + frame_bytes(TEXT, b"b"),
        (1002,),
    ),
    "a frame of 1 GB": (b"\x81\xff" + (2**30).to_bytes(8, "big") + bytes(4), (1009,)),
    "a frame of 2^63 bytes": (b"\x81\xff" + (2**63).to_bytes(8, "big") + bytes(4), (1002, 1009)),
    "close with half a code": (frame_bytes(CLOSE, b"\x03"), (1002,)),
    "close with 1005": (frame_bytes(CLOSE, (1005).to_bytes(2, "big")), (1002,)),
    "close with 1006": (frame_bytes(CLOSE, (1006).to_bytes(2, "big")), (1002,)),
    "close with 0": (frame_bytes(CLOSE, bytes(2)), (1002,)),
    "close with 999": (frame_bytes(CLOSE, (999).to_bytes(2, "big")), (1002,)),
    "close with 5000": (frame_bytes(CLOSE, (5000).to_bytes(2, "big")), (1002,)),
    "close with 65535": (frame_bytes(CLOSE, b"\xff\xff"), (1002,)),
    "close with a reason that is not UTF-8": (
        frame_bytes(CLOSE, (1000).to_bytes(2, "big") + b"\xff"),
        (1002, 1007),
    ),
    "close without a code": (frame_bytes(CLOSE, b""), (None, 1000, 1005)),
    "close with 1000": (frame_bytes(CLOSE, (1000).to_bytes(2, "big")), (1000,)),
    "close with 1012": (frame_bytes(CLOSE, (1012).to_bytes(2, "big")), (1012,)),
    "close with 4321": (frame_bytes(CLOSE, (4321).to_bytes(2, "big") + SECRET), (4321,)),
}
"""Violations, with the server's close codes, which are not a `close` of the session (CLS-6)."""


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_violation_of_rfc_6455_leaves_session(server: SharedServer, name: str) -> None:
    """CLS-6, LIV-4: the connection ends, and the session can be resumed."""
    wire, close_codes = VIOLATIONS[name]
    async with offender("websocket", server.port) as session:
        await session.socket.write(wire)
        assert (await session.ending()).close in close_codes
        await session.check_resume()


@pytest.mark.parametrize("name", [name for name in VIOLATIONS if "2^63" not in name])
async def test_violation_of_rfc_6455_before_open_ends_connection(
    server: SharedServer, name: str
) -> None:
    wire, close_codes = VIOLATIONS[name]
    before = await server.opened()
    async with tcp_websocket(server.port, "/chat/websocket") as socket:
        await socket.write(wire)
        assert (await socket.get()).code in close_codes
    assert await server.opened() == before


async def test_fragmented_frame_is_one_frame(server: SharedServer) -> None:
    """A frame is a message of the WebSocket, however it is fragmented."""
    async with offender("websocket", server.port) as session:
        wire = b'[2,0,"fragmented"]'
        await session.socket.put(wire[:1], TEXT, fin=False)
        for index in range(1, len(wire)):
            await session.socket.put(b"", CONTINUATION, fin=False)
            await session.socket.put(b"x", PING)
            await session.socket.put(wire[index : index + 1], CONTINUATION, fin=False)
        await session.socket.put(b"", CONTINUATION)
        session.sent = 2
        while len(session.messages) < 2:
            await session.receive_next()
        assert session.messages == ["kept", "fragmented"]
        await session.check_resume()


async def test_compressed_frame_is_bounded_by_true_size(server: SharedServer) -> None:
    """An agreed compressed frame is valid, invalid deflate data ends the connection, and a frame
    that is small on the wire but large when inflated is too large."""
    agreed = {"sec-websocket-extensions": "permessage-deflate"}

    def deflated(data: bytes) -> bytes:
        packer = zlib.compressobj(wbits=-12)
        return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]

    for wire, close_codes in (
        (deflated(b'{"type":"hunter2"}'), (4400,)),
        (deflated(b" " * 15_000_000), (4413,)),
        (deflated(b" " * 20_000_000), (1009,)),
        (b"\xff" * 30, (1002, 1007)),
    ):
        async with tcp_websocket(server.port, "/chat/websocket", **agreed) as socket:
            await socket.put(wire, reserved=4)
            # The answer may be compressed too, so only its close code is checked.
            assert await socket.close_code() in close_codes


async def test_invalid_utf_8_closes_websocket_with_1007(server: SharedServer) -> None:
    """The server closes with 1007. (uvicorn 0.54 logs a traceback for it.)"""
    async with offender("websocket", server.port) as session:
        await session.socket.put(b'[2,0,"\xff"]')
        assert (await session.ending()).close == 1007
        await server.expect_traceback(
            "Invalid UTF-8 sequence received from client", "UnicodeDecodeError"
        )
        await session.check_resume()


@pytest.mark.parametrize("wires", [["ping"] * 5, ["ping"] * 200, ["pong"], ["ping", "ack"]])
async def test_flood_before_open_ends_connection(server: SharedServer, wires: list[str]) -> None:
    """OPN-9: a flood of frames before the open ends the connection."""
    frames = {"ack": '{"type":"ack","ack":0}'}
    async with tcp_websocket(server.port, "/chat/websocket") as socket:
        for kind in wires:
            await socket.put(frames.get(kind, f'{{"type":"{kind}"}}').encode())
        pongs = 0
        while (frame := await socket.get()) == {"type": "pong"}:
            pongs += 1
        check_clear(frame, "bad_frame", b"")
        assert pongs == min(4, wires.count("ping"))
        assert await socket.get() == Closed(4400)


async def test_flood_before_open_of_absent_client_is_no_error(server: SharedServer) -> None:
    """A client that has disconnected causes no error."""
    for count in (0, 1, 4, 5, 50):
        for ending in (b"", frame_bytes(CLOSE, b"")):
            async with tcp_websocket(server.port, "/chat/websocket") as socket:
                await socket.write(frame_bytes(TEXT, b'{"type":"ping"}') * count + ending)


async def test_abandoned_open_is_repeated_by_its_nonce(server: SharedServer) -> None:
    """OPN-4: a client that repeats the nonce gets the session, which would expire otherwise."""
    for transport in TRANSPORTS:
        wire = opening()
        async with tcp_websocket(server.port) as raw:
            if transport == "websocket":
                await raw.handshake("/chat/websocket")
                await raw.put(wire)
            else:
                await raw.write(request_bytes("POST", f"/chat/{CLIENTS[transport].segment}", wire))
        opened = await open_anew(server, transport, wire)
        assert (opened["verdict"], opened["received"]) == ("new", 0)


async def test_ten_thousand_pings_are_bounded(server: SharedServer) -> None:
    """LIV-2: the answers waiting to be written are bounded; beyond that the connection ends."""
    async with offender("websocket", server.port) as session:
        ping = frame_bytes(TEXT, b'{"type":"ping","id":9007199254740991}')
        await session.socket.write(ping * 10_000)
        pongs = 0
        while (frame := await session.socket.get()) == {"type": "pong", "id": 2**53 - 1}:
            pongs += 1
            if pongs == 10_000:
                break
        else:
            check_clear(frame, "too_many", b"")
            assert await session.socket.get() == Closed(codes.TOO_MANY.websocket)
        await session.check_resume()
