"""Every bad input of the table, thrown at one real server.

Each is told its code and costs no session anything; after each two bystanders go on, and the log
holds no traceback and no error.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.bad_input.offender import Offender, Refusal, offender
from tests.bad_input.rows import (
    FOREIGN,
    FRAMES,
    HEADS,
    LIMITS,
    MESSAGES,
    ODD,
    OPENS,
    POLLS,
    SECRET,
    TOKENS,
    Row,
    opening,
)
from tests.bad_input.shared_server import SharedServer, check_clear, shared_servers
from tests.kit.frame_client import CLIENTS, TRANSPORTS, encode
from tests.kit.tcp_client import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Answer,
    Closed,
    TcpClient,
    frame_bytes,
    request_bytes,
    tcp_client,
    tcp_clients,
    tcp_websocket,
)
from transport import codes
from transport.codes import Code
from transport.server.adapters.websocket import close_code_of


@pytest.fixture(scope="module")
async def shared_server(anyio_backend: str) -> AsyncIterator[SharedServer]:
    async with shared_servers() as server:
        yield server


@pytest.fixture
async def server(shared_server: SharedServer) -> AsyncIterator[SharedServer]:
    """The server; after the test nobody else has come to harm."""
    yield shared_server
    await shared_server.unharmed()


def check_refusal(refusal: Refusal, code: Code, given: bytes, *secrets: str) -> None:
    """The code came in an ``error`` frame, and with what the table says of its transport."""
    check_clear(refusal.frame, code.name, given, SECRET.decode(), *secrets)
    if refusal.status is not None:
        assert refusal.status == code.status
    else:
        assert refusal.close == close_code_of(code)


# Attached


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", FRAMES, ids=repr)
async def test_bad_frame_is_refused_and_session_resumes(
    server: SharedServer, row: Row, transport: str
) -> None:
    """WS-2, FRM-2 to FRM-4, SND-3: refused with its code; the session is as before."""
    async with offender(transport, server.port) as session:
        refusal = await session.offend(row.wire)
        check_refusal(refusal, row.code, row.wire, session.token, session.client)
        if row.code is codes.GAP:
            assert refusal.frame["expected"] == 2
        if transport != "websocket":
            await session.exchange("meanwhile")  # a POST that is refused harms no downlink
        await session.resumes()


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
    """FRM-3, NUM-3, MRK-4, LIV-2."""
    wire, caused = ODD[name]
    async with offender(transport, server.port) as session:
        assert await session.tell(wire.encode()) == caused
        await session.exchange("next")
        await session.resumes()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ack_may_go_back_and_be_repeated(server: SharedServer, transport: str) -> None:
    """MRK-4."""
    async with offender(transport, server.port) as session:
        await session.exchange("next")
        session.acknowledges = True
        await session.exchange("acknowledged")
        session.acknowledges = False
        await session.exchange("not any more")
        for _ in range(3 if transport != "websocket" else 3_000):
            await session.send_odd({"type": "ack", "ack": 0}, {"type": "ack", "ack": 2})
        await session.exchange("last")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", MESSAGES)
async def test_odd_message_arrives_unchanged(
    server: SharedServer, name: str, transport: str
) -> None:
    """DAT-2, FRM-2, SSE-1."""
    async with offender(transport, server.port) as session:
        await session.exchange(MESSAGES[name])
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", FOREIGN)
async def test_ack_of_unsent_number_resets_session(
    server: SharedServer, name: str, transport: str
) -> None:
    """MRK-5: the one bad input that ends a session, as both sides are told (RES-4)."""
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
            opened = await session.attach_by(frame)
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
    """DAT-4, DAT-5: it alone is refused, the connection and the session live, `skip` goes on."""
    long = "x" * LIMITS.message
    async with offender(transport, server.port) as session:
        number = 2 + before
        wire = encode([2, 0, *range(before), long, "behind"]).encode()
        [error] = await session.tell(wire)
        check_clear(error, "too_large", wire)
        assert (error["number"], error["limit"]) == (number, "message")
        # What stands behind it is dropped unread, until the skip.
        assert await session.tell(encode([number + 1, 0, "behind"]).encode()) == []
        skip = {"type": "skip", "number": number, "ack": 0}
        assert await session.tell(encode(skip).encode()) == []
        session.sent = number
        while len(session.messages) < 1 + before:
            await session.pull()
        await session.exchange("behind")
        assert session.messages == ["kept", *range(before), "behind"]


async def test_too_large_binary_frame_alone_is_refused(server: SharedServer) -> None:
    """DAT-2, DAT-4."""
    async with offender("websocket", server.port) as session:
        head = (2).to_bytes(8, "big") + bytes(8)
        await session.socket.put(head + bytes(LIMITS.message + 1), 2)
        [error] = await session.tell(b'{"type":"pong"}')
        check_clear(error, "too_large", b"")
        assert error["number"] == 2
        assert await session.tell(b'{"type":"skip","number":2,"ack":0}') == []
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
    """DAT-2."""
    wire, code = BINARIES[name]
    async with offender("websocket", server.port) as session:
        check_refusal(await session.offend_binary(wire), code, wire)
        await session.resumes()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_frame_beyond_window_is_refused(server: SharedServer, transport: str) -> None:
    """DAT-6."""
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
    """SND-3, FRM-4."""
    async with offender(transport, server.port) as session:
        wire = b'[2,0,"good"]\n[3,0,"good too"]\n{"type":"hunter2"}\n[4,0,"never"]'
        check_refusal(await session.offend(wire), codes.BAD_FRAME, wire)
        session.sent = 3
        while len(session.messages) < 3:
            await session.pull()
        assert session.messages == ["kept", "good", "good too"]
        await session.resumes()


LINES: dict[str, tuple[bytes, Code]] = {
    "1,001 lines": (b'{"type":"pong"}\n' * 1001, codes.TOO_MANY),
    "100,000 empty lines": (b"\n" * 100_000, codes.TOO_MANY),
    "300,000 empty lines": (b"\n" * 300_000, codes.TOO_MANY),
    "empty lines": (b"\n\n\n", codes.BAD_JSON),
    "lines of transport return and line feed": (b'{"type":"ping"}\r\n', codes.BAD_JSON),
    "not UTF-8": (b'[2,0,"\xff"]', codes.BAD_JSON),
    "overlong UTF-8": (b'[2,0,"\xc0\xaf"]', codes.BAD_JSON),
    "a surrogate in UTF-8": (b'[2,0,"\xed\xa0\x80"]', codes.BAD_JSON),
    "half a character": (b'[2,0,"\xe2\x82', codes.BAD_JSON),
    "UTF-16": ('\ufeff{"type":"ping"}'.encode("utf-16-le"), codes.BAD_JSON),
    "UTF-32": ('\ufeff{"type":"ping"}'.encode("utf-32-le"), codes.BAD_JSON),
    "bytes of gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", codes.BAD_JSON),
}


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize("name", LINES)
async def test_bad_lines_are_refused_as_a_whole(
    server: SharedServer, name: str, transport: str
) -> None:
    """FRM-2, SND-1: nothing of them is taken."""
    wire, code = LINES[name]
    async with offender(transport, server.port) as session:
        check_refusal(await session.offend(wire), code, wire)
        await session.exchange("next")
        await session.resumes()


# Opening


async def open_badly(
    server: SharedServer, transport: str, wire: bytes, mount: str = "/chat"
) -> Refusal:
    """What a client is told whose first frame is that; its connection is over then."""
    if transport == "websocket":
        async with tcp_websocket(server.port, f"{mount}/websocket") as socket:
            await socket.put(wire)
            frame = await socket.get()
            ended = await socket.get()
            assert isinstance(ended, Closed), ended
            return Refusal(frame, close=ended.code)
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", f"{mount}/{CLIENTS[transport].segment}", wire))
        answer = await http.answer()
        return Refusal(json.loads(answer.body), status=answer.status)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", OPENS, ids=repr)
async def test_bad_open_makes_no_session(server: SharedServer, row: Row, transport: str) -> None:
    """OPN-1 to OPN-5, OPN-9: refused with its code, and no session is made."""
    before = await server.opened()
    refusal = await open_badly(server, transport, row.wire)
    check_refusal(refusal, row.code, row.wire)
    if row.code is codes.UNSUPPORTED_VERSION:
        assert refusal.frame["versions"] == [1]
    assert await server.opened() == before


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize("name", LINES)
async def test_bad_body_instead_of_open_is_refused(
    server: SharedServer, name: str, transport: str
) -> None:
    """SSE-2, POL-1."""
    wire, code = LINES[name]
    refusal = await open_badly(server, transport, wire)
    # A stream's body is one frame, whatever its lines.
    check_refusal(refusal, codes.BAD_JSON if transport == "sse" else code, wire)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("versions", [[], [2], [0]])
async def test_resume_in_other_version_leaves_session(
    server: SharedServer, transport: str, versions: list[int]
) -> None:
    """OPN-2: the session lives."""
    async with offender(transport, server.port) as session:
        wire = opening(session=session.token, client=session.client, attach=2, versions=versions)
        check_refusal(
            await open_badly(server, transport, wire), codes.UNSUPPORTED_VERSION, b"", session.token
        )
        await session.exchange("next")


# First lines, and polls


def _head(row: Row, session: Any, kind: str, **fields: object) -> bytes:
    """The first line that a row means."""
    field, equals, text = row.wire.decode().partition("=")
    if not equals or not field.isidentifier():
        return row.wire
    head = session.head(kind, **fields)
    head.pop(field, None)
    return (encode(head)[:-1] + f',"{field}":{text}}}').encode()


@pytest.mark.parametrize("row", HEADS, ids=repr)
async def test_bad_first_line_of_post_is_refused(server: SharedServer, row: Row) -> None:
    """SND-1."""
    async with offender("sse", server.port) as session:
        wire = _head(row, session, "send") + b'\n[2,0,"never"]'
        answer = await session.request("send", wire)
        refusal = Refusal(json.loads(answer.body), status=answer.status)
        check_refusal(refusal, row.code, wire, session.token)
        await session.exchange("next")


@pytest.mark.parametrize("row", [one for one in HEADS if "open" not in one.id] + POLLS, ids=repr)
async def test_bad_poll_is_refused(server: SharedServer, row: Row) -> None:
    """POL-1."""
    async with offender("longpoll", server.port) as session:
        wire = _head(row, session, "poll", poll=session.connection.polls + 1, ack=0)
        answer = await session.request("poll", wire)
        refusal = Refusal(json.loads(answer.body), status=answer.status)
        check_refusal(refusal, row.code, wire, session.token)
        await session.exchange("next")
        await session.resumes()


# Sessions that cannot be had


async def _ask(server: SharedServer, target: str, *frames: object, **options: Any) -> Refusal:
    async with tcp_client(server.port) as http:
        body = encode(*frames).encode()
        await http.write(request_bytes("POST", target, body, **options))
        answer = await http.answer()
        return Refusal(answer.frames[0], status=answer.status)


async def _open_anew(
    server: SharedServer, transport: str, wire: bytes, mount: str = "/chat"
) -> Any:
    """The first frame of the answer to an ``open`` that is not refused."""
    if transport == "websocket":
        async with tcp_websocket(server.port, f"{mount}/websocket") as socket:
            await socket.put(wire)
            return await socket.get()
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", f"{mount}/{CLIENTS[transport].segment}", wire))
        if transport == "longpoll":
            return (await http.answer()).frames[0]
        assert (await http.head()).status == 200
        return await anext(http.events())


NOTHING_KNOWN = {"lost": None, "handled": None, "in_hand": None}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", TOKENS)
async def test_open_with_unknown_session_begins_new_one(
    server: SharedServer, name: str, transport: str
) -> None:
    """RES-9: it gets a session of its own, and is told that it is another."""
    wire = opening(session=TOKENS[name], attach=2)
    opened = await _open_anew(server, transport, wire)
    assert (opened["type"], opened["verdict"]) == ("opened", "reset")
    assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
    assert opened["session"] != TOKENS[name]


@pytest.mark.parametrize("segment", ["send", "poll"])
@pytest.mark.parametrize("name", TOKENS)
async def test_post_to_unknown_session_returns_404(
    server: SharedServer, name: str, segment: str
) -> None:
    """RES-9."""
    head = {"type": segment, "session": TOKENS[name], "client": "c" * 16, "attach": 1}
    if segment == "poll":
        head |= {"poll": 1, "ack": 0}
    refusal = await _ask(server, f"/chat/{segment}", head)
    check_refusal(refusal, codes.UNKNOWN_SESSION, TOKENS[name].encode(), TOKENS[name])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_wrong_secret_is_treated_as_unknown_session(
    server: SharedServer, transport: str
) -> None:
    """RES-9, IDN-3: the answer is the same, byte for byte, and the owner is unharmed."""
    async with offender(transport, server.port) as owner:
        wrong = owner.opened["id"] + ".wrong-secret"
        opened = await _open_anew(server, transport, opening(session=wrong, attach=9))
        assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
        head = {"type": "send", "client": owner.client, "attach": owner.attach}
        answers = [
            await _ask(server, "/chat/send", {**head, "session": token}, [2, 0, "never"])
            for token in (wrong, TOKENS["random"])
        ]
        assert answers[0] == answers[1]
        await owner.exchange("next")
        await owner.resumes()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_of_other_user_is_treated_as_unknown(
    server: SharedServer, transport: str
) -> None:
    """RES-9, IDN-2: as if it did not exist; its owner goes on."""
    async with offender(transport, server.port, "/users", credentials="ada") as owner:
        wire = opening(session=owner.token, attach=9, credentials="eve", received=1)
        opened = await _open_anew(server, transport, wire, "/users")
        assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
        assert opened["id"] != owner.opened["id"]
        await owner.exchange("next")
        await owner.resumes()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("credentials", [None, 5, ["ada"], {"user": SECRET.decode()}])
async def test_open_without_credentials_makes_no_session(
    server: SharedServer, transport: str, credentials: object
) -> None:
    """IDN-2."""
    before = await server.opened("/users")
    wire = opening(credentials=credentials)
    refusal = await open_badly(server, transport, wire, "/users")
    check_refusal(refusal, codes.UNAUTHORIZED, wire)
    assert await server.opened("/users") == before


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_too_many_sessions_are_refused_with_limit(
    server: SharedServer, transport: str
) -> None:
    """Section 12: the limit has a name, and an end."""
    await _open_anew(server, "longpoll", opening(), "/full")
    refusal = await open_badly(server, transport, opening(), "/full")
    check_refusal(refusal, codes.TOO_MANY, b"")
    assert refusal.frame["limit"] == "sessions_per_address"
    assert refusal.frame["retry_in"] > 0
    assert await server.opened("/full") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_expired_session_tells_its_fate_at_open(server: SharedServer, transport: str) -> None:
    """RES-5, RES-9: at `open` its fate, to posts one word."""
    async with offender(transport, server.port, "/short") as session:
        frame = json.loads(opening(session=session.token, client=session.client, attach=2))
        await session.close()
        await server.until_gone("/short", session.opened["id"])
        for kind in ("send", "poll"):
            head = session.head(kind, **({"poll": 1, "ack": 0} if kind == "poll" else {}))
            refusal = await _ask(server, f"/short/{kind}", head)
            check_refusal(refusal, codes.UNKNOWN_SESSION, b"", session.token)
        opened = await _open_anew(server, transport, encode(frame).encode(), "/short")
        assert opened["reset"] == {
            "reason": "expired",
            "lost": [1, 1],
            "handled": 1,
            "in_hand": 1,
        }


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_of_other_process_is_known_by_epoch(
    server: SharedServer, transport: str
) -> None:
    """EPO-1."""
    token = TOKENS["random"]
    wire = opening(session=token, epoch=SECRET.decode(), attach=2)
    opened = await _open_anew(server, transport, wire)
    assert opened["reset"] == {"reason": "restarted", **NOTHING_KNOWN}
    head = {"type": "send", "session": token, "client": "c" * 16, "attach": 1}
    refusal = await _ask(server, "/chat/send", {**head, "epoch": SECRET.decode()})
    check_refusal(refusal, codes.WRONG_PROCESS, wire, token)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_superseded_attach_is_told_the_owner(server: SharedServer, transport: str) -> None:
    """ATT-3 to ATT-5, ATT-7: whoever comes too late is told who has the session."""
    async with offender(transport, server.port) as session:
        token, client = session.token, session.client
        old = session.head()
        await session.resumes()
        fields = {"session": token, "client": client, "first_retained": session.sent + 1}
        for attach in (1, 2):
            wire = opening(attach=attach, **fields)
            refusal = await open_badly(server, transport, wire)
            check_refusal(refusal, codes.SUPERSEDED, b"", token)
            assert (refusal.frame["attach"], refusal.frame["client"]) == (2, client)
        for head in (old, {**old, "client": "x" * 16}):
            refusal = await _ask(server, "/chat/send", head, [9, 0, "never"])
            check_refusal(refusal, codes.SUPERSEDED, b"", token)
        poll = {**old, "type": "poll", "poll": 1, "ack": 0}
        check_refusal(await _ask(server, "/chat/poll", poll), codes.SUPERSEDED, b"", token)
        ahead = await _ask(server, "/chat/send", {**old, "attach": 2**53 - 1}, [9, 0, "never"])
        check_refusal(ahead, codes.NOT_ATTACHED, b"", token)
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_superseded_websocket_is_told_the_new_client(
    server: SharedServer, transport: str
) -> None:
    """ATT-5: the last that it hears is by whom."""
    async with offender("websocket", server.port) as session:
        taker = Offender(transport, server.port)
        try:
            fields = {"session": session.token, "first_retained": 2, "attach": 2}
            await taker.attach_by(json.loads(opening(**fields)))
            taker.sent = 1
            refusal = await session.ending()
            check_refusal(refusal, codes.SUPERSEDED, b"", session.token)
            assert refusal.frame["client"] == taker.client
            await taker.exchange("mine now", behind=1)
        finally:
            await taker.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"received": 2}, "foreign"),
        ({"received": 2**53 - 1}, "foreign"),
        ({"first_retained": 3}, "rewound"),
        ({"first_retained": 2**53 - 1}, "rewound"),
    ],
)
async def test_resume_that_claims_too_much_is_reset(
    server: SharedServer, transport: str, fields: dict[str, int], reason: str
) -> None:
    """RES-5, RES-7: by another client it does the session no harm."""
    async with offender(transport, server.port) as session:
        good = {"session": session.token, "attach": 2, "first_retained": 2}
        opened = await _open_anew(server, transport, opening(**{**good, **fields}))
        assert opened["reset"] == {"reason": reason, **NOTHING_KNOWN}
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_resume_below_acknowledged_is_reset_as_trimmed(
    server: SharedServer, transport: str
) -> None:
    """RES-5 (`trimmed`), RES-7: never silent, and told what will not come."""
    async with offender("websocket", server.port) as session:
        session.acknowledges = True
        await session.exchange("next")
        wire = opening(session=session.token, attach=2, received=0, first_retained=3)
        opened = await _open_anew(server, transport, wire)
        verdict = {"reason": "trimmed", "lost": [1, 2], "handled": 2, "in_hand": None}
        assert opened["reset"] == verdict
        await session.exchange("goes on")


async def test_newest_of_hundred_polls_waits(server: SharedServer) -> None:
    """POL-2: the newest waits, the others are answered with nothing."""
    async with offender("longpoll", server.port) as session, tcp_clients(server.port, 100) as wires:
        session.connection.polls = 100
        for number, wire in enumerate(wires, 1):
            poll = session.head("poll", poll=number, ack=1)
            await wire.write(request_bytes("POST", "/chat/poll", encode(poll).encode()))
            if number > 1:
                older = await wires[number - 2].answer()
                # One that was parked for long was answered by an ack before the next one came.
                assert older.status == 200
                assert older.frames in ([], [{"type": "ack", "ack": 1}])
        await session.send_data([2, 1, "next"])
        last = await wires[-1].answer()
        if last.frames == [{"type": "ack", "ack": 1}]:  # so was this
            await session.pull()
        else:
            assert [frame[2:] for frame in last.frames] == [["next"]]


# Requests

POSTS = ("/chat/sse", "/chat/poll", "/chat/send")


async def check_request(
    server: SharedServer, request: bytes, code: Code, *, method: str = "POST", ends: bool = False
) -> Answer:
    """A request is refused with a status and a body, and its connection lives on, or ends."""
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
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_method_is_refused(server: SharedServer, target: str, method: str) -> None:
    """HTTP-1."""
    request = request_bytes(method, target)
    answer = await check_request(server, request, codes.METHOD_NOT_ALLOWED, method=method)
    assert answer.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("name", ["client.js", "client.js.map", "websocket"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_method_on_static_file_is_refused(
    server: SharedServer, name: str, method: str
) -> None:
    """HTTP-1."""
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
    """HTTP-1."""
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
    """HTTP-1: what stands behind the first counts too."""
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
    """HTTP-1: 413 arrives, whatever is still on its way, and the connection ends."""
    body = b"x" * size
    headers = {}
    if form == "chunked":
        headers = {"content-length": "", "transfer-encoding": "chunked"}
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    elif form == "expected":
        headers = {"expect": "100-continue", "content-length": str(size)}
    request = request_bytes("POST", target, body, headers=headers)
    if form == "expected":
        # A client that waits for 100 has no need to send it.
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
    """HTTP-1: refused by its head."""
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
    """FRM-2."""
    headers = {"content-length": "", "transfer-encoding": "chunked"} if chunked else {}
    body = b"0\r\n\r\n" if chunked else b""
    await check_request(
        server, request_bytes("POST", target, body, headers=headers), codes.BAD_JSON
    )


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "",
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
    """HTTP-1: no name from a request ever becomes a path."""
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
    """The name alone counts."""
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
    """WS-3: at once, and told by its header too."""
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
    """IDN-1."""
    before = await server.opened()
    request = request_bytes("POST", target, opening(), headers=ORIGINS[name])
    answer = await check_request(server, request, codes.FORBIDDEN_ORIGIN)
    assert "access-control-allow-origin" not in answer.headers
    assert await server.opened() == before


@pytest.mark.parametrize("target", POSTS)
async def test_repeated_origin_is_refused(server: SharedServer, target: str) -> None:
    """IDN-1."""
    own = ("origin", "http://127.0.0.1")
    request = request_bytes("POST", target, opening(), extra=(own, own))
    await check_request(server, request, codes.FORBIDDEN_ORIGIN)


@pytest.mark.parametrize("name", [name for name in ORIGINS if name != "10 KB"])
async def test_foreign_origin_of_websocket_is_refused(server: SharedServer, name: str) -> None:
    """IDN-1, WS-2: refused before the upgrade. (10 KB of a header uvicorn 0.54 answers never.)"""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.shake_hands("/chat/websocket", **ORIGINS[name])
        assert answer.status in (400, 403)  # 400: a server that wants a Host
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
    """WS-2."""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.shake_hands(path)
        assert answer.status in (403, 404)
        assert SECRET not in answer.body


async def test_foreign_subprotocol_is_not_chosen(server: SharedServer) -> None:
    """WS-1."""
    async with tcp_websocket(server.port) as socket:
        answer = await socket.shake_hands(
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


# Below our frames: HTTP and TCP

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
"""What never reaches us, or hardly: the server's answer."""


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_request_harms_no_other_client(server: SharedServer, name: str) -> None:
    """The server's own matter: nobody else is touched."""
    request, statuses = BROKEN[name]
    async with tcp_client(server.port) as http:
        await http.write(request)
        answer = await http.head()
        assert answer.status in statuses


async def test_body_longer_than_declared_ends_connection(server: SharedServer) -> None:
    """What is beyond it is the next request, and none: the server ends the connection."""
    body = opening()
    async with tcp_client(server.port) as http:
        length = {"content-length": str(len(body))}
        await http.write(request_bytes("POST", "/chat/poll", body + b"garbage", headers=length))
        assert (await http.head()).status in (200, 400)
        await http.until_ended()


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_pipelined_requests_get_one_answer_each(server: SharedServer, transport: str) -> None:
    """The bad ones their errors, the good ones between them what is due."""
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
            await session.pull()
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
    """An old proxy: refusals and answers are whole, and the connection ends."""
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
    """Nothing is taken, nobody is answered, nothing is logged."""
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
    """Its lines that came whole are not taken: the POST is repeated, or not."""
    async with offender("sse", server.port) as session:
        body = encode(session.head()).encode() + b'\n[2,0,"never"]\n[3,0,"ne'
        async with tcp_client(server.port) as http:
            length = {"content-length": str(len(body) + 9)}
            await http.write(request_bytes("POST", "/chat/send", body, headers=length))
            http.finish()
            assert await http.until_ended() == b""
        await session.exchange("next")
        await session.resumes()


# Below our frames: RFC 6455

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
"""The server's matter, and what it closes with. It is no `close` of the session (CLS-6)."""


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_violation_of_rfc_6455_leaves_session(server: SharedServer, name: str) -> None:
    """CLS-6, LIV-4: the connection ends, the session is resumed."""
    wire, close_codes = VIOLATIONS[name]
    async with offender("websocket", server.port) as session:
        await session.socket.write(wire)
        assert (await session.ending()).close in close_codes
        await session.resumes()


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
    """A frame is a message of the WebSocket, however it is cut."""
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
            await session.pull()
        assert session.messages == ["kept", "fragmented"]
        await session.resumes()


async def test_compressed_frame_is_bounded_by_true_size(server: SharedServer) -> None:
    """As agreed it is a frame like any; what is not deflated ends the connection; a frame that
    is small on the wire and large in truth is too large."""
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
            # The answer may be compressed too: only its close is looked at.
            assert await socket.close_code() in close_codes


async def test_invalid_utf_8_closes_websocket_with_1007(server: SharedServer) -> None:
    """The server's matter: 1007. (uvicorn 0.54 logs a traceback of its own for it.)"""
    async with offender("websocket", server.port) as session:
        await session.socket.put(b'[2,0,"\xff"]')
        assert (await session.ending()).close == 1007
        await server.forgive("Invalid UTF-8 sequence received from client", "UnicodeDecodeError")
        await session.resumes()


@pytest.mark.parametrize("wires", [["ping"] * 5, ["ping"] * 200, ["pong"], ["ping", "ack"]])
async def test_flood_before_open_ends_connection(server: SharedServer, wires: list[str]) -> None:
    """OPN-9."""
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
    """Nobody is there to be told: that is no error."""
    for count in (0, 1, 4, 5, 50):
        for ending in (b"", frame_bytes(CLOSE, b"")):
            async with tcp_websocket(server.port, "/chat/websocket") as socket:
                await socket.write(frame_bytes(TEXT, b'{"type":"ping"}') * count + ending)


async def test_abandoned_open_is_repeated_by_its_nonce(server: SharedServer) -> None:
    """The session that it made expires; whoever repeats the nonce gets it (OPN-4)."""
    for transport in TRANSPORTS:
        wire = opening()
        async with tcp_websocket(server.port) as raw:
            if transport == "websocket":
                await raw.shake_hands("/chat/websocket")
                await raw.put(wire)
            else:
                await raw.write(request_bytes("POST", f"/chat/{CLIENTS[transport].segment}", wire))
        opened = await _open_anew(server, transport, wire)
        assert (opened["verdict"], opened["received"]) == ("new", 0)


async def test_ten_thousand_pings_are_bounded(server: SharedServer) -> None:
    """LIV-2: what waits to be written is bounded, and a client beyond the bound is told so."""
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
        await session.resumes()


# Slow


async def _trickle(http: TcpClient, request: bytes) -> None:
    """A byte now and then, until the answer comes or the task is ended."""
    for index in range(len(request)):
        await http.write(request[index : index + 1])
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("form", ["nothing", "one byte", "trickle", "chunks"])
async def test_slow_body_returns_408(server: SharedServer, form: str) -> None:
    """HTTP-1: 408 in its time, to each kind of request, and the connection ends."""

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
    """OPN-9: whatever else comes meanwhile. It held no session."""
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


# All of it together


async def test_thousand_bad_posts_leave_nothing_behind(server: SharedServer) -> None:
    """Every request is answered whole, and what it held is given back."""
    before = await server.report()
    bad = [b"{", b"[1,0,1]", b"\xff", opening(attach=0), b"\n" * 2000]
    for _ in range(4):
        async with tcp_clients(server.port, 50) as wires:
            for index, wire in enumerate(wires):
                for body in bad:
                    await wire.write(request_bytes("POST", POSTS[index % 3], body))
                assert [(await wire.answer()).status // 100 for _ in bad] == [4] * 5
    await server.until_no_more_than(before)


async def test_nothing_was_left_behind(server: SharedServer) -> None:
    """The last test of this module: what the table held is given back."""
    await server.until_no_more_than(server.first)
