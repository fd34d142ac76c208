"""Bad frames of a session: each is refused with its code, and the session survives."""

from __future__ import annotations

import json

import pytest

from tests.integration.bad_input.attempts import (
    LINES,
    check_refusal,
)
from tests.integration.bad_input.offender import Offender, offender
from tests.integration.bad_input.open_rows import opening
from tests.integration.bad_input.rows import FOREIGN, FRAMES, LIMITS, MESSAGES, ODD, SECRET, Row
from tests.integration.bad_input.shared_server import SharedServer, check_clear
from tests.support.clients.frame_client import TRANSPORTS, encode
from transport import codes
from transport.codes import Code


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", FRAMES, ids=repr)
async def test_bad_frame_is_refused_and_session_resumes(
    server: SharedServer, row: Row, transport: str
) -> None:
    """WS-2, FRM-2 to FRM-4, SND-3: the frame is refused with its code; the session is unchanged."""
    async with offender(transport, server.port) as session:
        refusal = await session.offend(row.wire)
        check_refusal(refusal, row.code, row.wire, session.token, session.client)
        if row.code is codes.GAP:
            assert refusal.frame["expected"] == 2
        if transport != "websocket":
            await session.exchange("meanwhile")  # a refused POST does not affect the downlink
        await session.check_resume()


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        (name, transport)
        for name, (wire, _) in ODD.items()
        for transport in TRANSPORTS
        if transport != "websocket" or "\n" not in wire
    ],
)
async def test_odd_frame_is_no_error(server: SharedServer, name: str, transport: str) -> None:
    """FRM-3, NUM-3, MRK-4, LIV-2: an odd frame causes the expected frames and no error."""
    wire, caused = ODD[name]
    async with offender(transport, server.port) as session:
        assert await session.send_and_collect(wire.encode()) == caused
        await session.exchange("next")
        await session.check_resume()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_may_go_back_and_be_repeated(server: SharedServer, transport: str) -> None:
    """MRK-4: an ack that is lower or repeated has no effect."""
    async with offender(transport, server.port) as session:
        await session.exchange("next")
        session.acknowledges = True
        await session.exchange("acknowledged")
        session.acknowledges = False
        await session.exchange("not any more")
        for _ in range(3 if transport != "websocket" else 90):  # below the rate of LIV-5
            await session.send_odd({"type": "ack", "ack": 0}, {"type": "ack", "ack": 2})
        await session.exchange("last")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", MESSAGES)
async def test_odd_message_arrives_unchanged(
    server: SharedServer, name: str, transport: str
) -> None:
    """DAT-2, FRM-2, SSE-1: an odd message is echoed unchanged."""
    async with offender(transport, server.port) as session:
        await session.exchange(MESSAGES[name])
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", FOREIGN)
async def test_ack_of_unsent_number_resets_session(
    server: SharedServer, name: str, transport: str
) -> None:
    """MRK-5: this is the only bad input that ends a session; both sides are notified (RES-4)."""
    wire = FOREIGN[name].encode()
    async with offender(transport, server.port) as session:
        token = session.token
        refusal = await session.offend(wire)
        if transport == "websocket":
            verdict, expected = refusal.frame, {"type": "reset", "reason": "foreign"}
            assert refusal.close == codes.RESET.websocket
        else:
            check_refusal(refusal, codes.UNKNOWN_SESSION, wire, token)
            frame = json.loads(opening(session=token, client=session.client, attach=2))
            opened = await session.attach_with(frame)
            assert opened["verdict"] == "reset"
            assert opened["session"] != token
            verdict, expected = opened["reset"], {"reason": "foreign"}
        nothing_known = {"lost": None, "handled": None, "in_hand": None}
        assert verdict == {**expected, **nothing_known}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("before", [0, 2])
async def test_too_large_message_alone_is_refused(
    server: SharedServer, transport: str, before: int
) -> None:
    """DAT-4, DAT-5: only the message is refused; connection and session go on after a `skip`."""
    long = "x" * LIMITS.message
    async with offender(transport, server.port) as session:
        number = 2 + before
        wire = encode([2, 0, *range(before), long, "behind"]).encode()
        [error] = await session.send_and_collect(wire)
        check_clear(error, "too_large", wire)
        assert (error["number"], error["limit"]) == (number, "message")
        # Frames after it are dropped unread, until the skip.
        assert await session.send_and_collect(encode([number + 1, 0, "behind"]).encode()) == []
        skip = {"type": "skip", "number": number, "ack": 0}
        assert await session.send_and_collect(encode(skip).encode()) == []
        session.sent = number
        while len(session.messages) < 1 + before:
            await session.receive_next()
        await session.exchange("behind")
        assert session.messages == ["kept", *range(before), "behind"]


async def test_too_large_binary_frame_alone_is_refused(server: SharedServer) -> None:
    """DAT-2, DAT-4: only the message is refused; the connection goes on after a `skip`."""
    async with offender("websocket", server.port) as session:
        head = (2).to_bytes(8, "big") + bytes(8)
        await session.socket.put(head + bytes(LIMITS.message + 1), 2)
        [error] = await session.send_and_collect(b'{"type":"pong"}')
        check_clear(error, "too_large", b"")
        assert error["number"] == 2
        assert await session.send_and_collect(b'{"type":"skip","number":2,"ack":0}') == []
        session.sent = 2
        await session.exchange("next")


BINARIES: dict[str, tuple[bytes, Code]] = {
    "nothing": (b"", codes.BAD_FRAME),
    "15 bytes": (bytes(15), codes.BAD_FRAME),
    "number 0": (bytes(16) + b"x", codes.BAD_NUMBER),
    "number of 2^53": ((2**53).to_bytes(8, "big") + bytes(8), codes.BAD_NUMBER),
    "number of all ones": (b"\xff" * 8 + bytes(8) + b"x", codes.BAD_NUMBER),
    "mark of 2^53": ((2).to_bytes(8, "big") + (2**53).to_bytes(8, "big"), codes.BAD_NUMBER),
    "a gap": ((9).to_bytes(8, "big") + bytes(8) + SECRET, codes.GAP),
    "JSON": (b'{"type":"ping"}  ', codes.BAD_NUMBER),
    "too large": (bytes(7) + b"\2" + bytes(8 + LIMITS.body + 1), codes.TOO_LARGE),
}


@pytest.mark.parametrize("name", BINARIES)
async def test_bad_binary_frame_is_refused(server: SharedServer, name: str) -> None:
    """DAT-2: a bad binary frame is refused with its code."""
    wire, code = BINARIES[name]
    async with offender("websocket", server.port) as session:
        check_refusal(await session.offend_binary(wire), code, wire)
        await session.check_resume()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_frame_beyond_window_is_refused(server: SharedServer, transport: str) -> None:
    """DAT-6: a frame beyond the window is refused."""
    wire = encode([1, 0, *range(11)]).encode()
    session = Offender(transport, server.port, "/idle")
    try:
        await session.open()
        check_refusal(await session.offend(wire), codes.WINDOW_EXCEEDED, wire)
        await session.open()
        assert (session.opened["verdict"], session.opened["received"]) == ("resumed", 0)
    finally:
        await session.close()


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_lines_before_bad_line_are_accepted(server: SharedServer, transport: str) -> None:
    """SND-3, FRM-4: the lines before a bad line take effect."""
    async with offender(transport, server.port) as session:
        wire = b'[2,0,"good"]\n[3,0,"good too"]\n{"type":"hunter2"}\n[4,0,"never"]'
        check_refusal(await session.offend(wire), codes.BAD_FRAME, wire)
        session.sent = 3
        while len(session.messages) < 3:
            await session.receive_next()
        assert session.messages == ["kept", "good", "good too"]
        await session.check_resume()


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize("name", LINES)
async def test_bad_lines_are_refused_as_a_whole(
    server: SharedServer, name: str, transport: str
) -> None:
    """FRM-2, SND-1: none of the lines takes effect."""
    wire, code = LINES[name]
    async with offender(transport, server.port) as session:
        check_refusal(await session.offend(wire), code, wire)
        await session.exchange("next")
        await session.check_resume()
