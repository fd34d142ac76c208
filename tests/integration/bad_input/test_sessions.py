"""Sessions that a client cannot have: unknown, expired, superseded, or of another user."""

from __future__ import annotations

import json

import pytest

from tests.integration.bad_input.attempts import (
    NOTHING_KNOWN,
    ask,
    check_refusal,
    open_anew,
    open_badly,
)
from tests.integration.bad_input.offender import Offender, offender
from tests.integration.bad_input.open_rows import TOKENS, opening
from tests.integration.bad_input.rows import SECRET
from tests.integration.bad_input.shared_server import SharedServer
from tests.support.clients.frame_client import TRANSPORTS, encode
from tests.support.clients.tcp_client import (
    request_bytes,
    tcp_clients,
)
from transport import codes


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", TOKENS)
async def test_open_with_unknown_session_begins_new_one(
    server: SharedServer, name: str, transport: str
) -> None:
    """RES-9: the client gets a new session, and the answer says that it is new."""
    wire = opening(session=TOKENS[name], attach=2)
    opened = await open_anew(server, transport, wire)
    assert (opened["type"], opened["verdict"]) == ("opened", "reset")
    assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
    assert opened["session"] != TOKENS[name]


@pytest.mark.parametrize("segment", ["send", "poll"])
@pytest.mark.parametrize("name", TOKENS)
async def test_post_to_unknown_session_returns_404(
    server: SharedServer, name: str, segment: str
) -> None:
    """RES-9: the answer is 404."""
    head = {"type": segment, "session": TOKENS[name], "client": "c" * 16, "attach": 1}
    if segment == "poll":
        head |= {"poll": 1, "ack": 0}
    refusal = await ask(server, f"/chat/{segment}", head)
    check_refusal(refusal, codes.UNKNOWN_SESSION, TOKENS[name].encode(), TOKENS[name])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_wrong_secret_is_treated_as_unknown_session(
    server: SharedServer, transport: str
) -> None:
    """RES-9, IDN-3: the answer is the same, byte for byte, and the owner is not affected."""
    async with offender(transport, server.port) as owner:
        wrong = owner.opened["id"] + ".wrong-secret"
        opened = await open_anew(server, transport, opening(session=wrong, attach=9))
        assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
        head = {"type": "send", "client": owner.client, "attach": owner.attach}
        answers = [
            await ask(server, "/chat/send", {**head, "session": token}, [2, 0, "never"])
            for token in (wrong, TOKENS["random"])
        ]
        assert answers[0] == answers[1]
        await owner.exchange("next")
        await owner.check_resume()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_of_other_user_is_treated_as_unknown(
    server: SharedServer, transport: str
) -> None:
    """RES-9, IDN-2: the answer is as if the session did not exist, and its owner goes on."""
    async with offender(transport, server.port, "/users", credentials="ada") as owner:
        wire = opening(session=owner.token, attach=9, credentials="eve", received=1)
        opened = await open_anew(server, transport, wire, "/users")
        assert opened["reset"] == {"reason": "unknown", **NOTHING_KNOWN}
        assert opened["id"] != owner.opened["id"]
        await owner.exchange("next")
        await owner.check_resume()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("credentials", [None, 5, ["ada"], {"user": SECRET.decode()}])
async def test_open_without_credentials_makes_no_session(
    server: SharedServer, transport: str, credentials: object
) -> None:
    """IDN-2: no session is created."""
    before = await server.opened("/users")
    wire = opening(credentials=credentials)
    refusal = await open_badly(server, transport, wire, "/users")
    check_refusal(refusal, codes.UNAUTHORIZED, wire)
    assert await server.opened("/users") == before


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_too_many_sessions_are_refused_with_limit(
    server: SharedServer, transport: str
) -> None:
    """Section 12: the refusal names the limit, and says when to retry."""
    await open_anew(server, "longpoll", opening(), "/full")
    refusal = await open_badly(server, transport, opening(), "/full")
    check_refusal(refusal, codes.TOO_MANY, b"")
    assert refusal.frame["limit"] == "sessions_per_address"
    assert refusal.frame["retry_in"] > 0
    assert await server.opened("/full") == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_open_of_expired_session_reports_fate(server: SharedServer, transport: str) -> None:
    """RES-5, RES-9: an `open` gets the session's fate; posts only get an error code."""
    async with offender(transport, server.port, "/short") as session:
        frame = json.loads(opening(session=session.token, client=session.client, attach=2))
        await session.close()
        await server.until_session_ended("/short", session.opened["id"])
        for kind in ("send", "poll"):
            head = session.head(kind, **({"poll": 1, "ack": 0} if kind == "poll" else {}))
            refusal = await ask(server, f"/short/{kind}", head)
            check_refusal(refusal, codes.UNKNOWN_SESSION, b"", session.token)
        opened = await open_anew(server, transport, encode(frame).encode(), "/short")
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
    """EPO-1: the epoch shows that the session belongs to another process."""
    token = TOKENS["random"]
    wire = opening(session=token, epoch=SECRET.decode(), attach=2)
    opened = await open_anew(server, transport, wire)
    assert opened["reset"] == {"reason": "restarted", **NOTHING_KNOWN}
    head = {"type": "send", "session": token, "client": "c" * 16, "attach": 1}
    refusal = await ask(server, "/chat/send", {**head, "epoch": SECRET.decode()})
    check_refusal(refusal, codes.WRONG_PROCESS, wire, token)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_superseded_attach_is_told_the_owner(server: SharedServer, transport: str) -> None:
    """ATT-3 to ATT-5, ATT-7: a client that is too late learns which client owns the session."""
    async with offender(transport, server.port) as session:
        token, client = session.token, session.client
        old = session.head()
        await session.check_resume()
        fields = {"session": token, "client": client, "first_retained": session.sent + 1}
        for attach in (1, 2):
            wire = opening(attach=attach, **fields)
            refusal = await open_badly(server, transport, wire)
            check_refusal(refusal, codes.SUPERSEDED, b"", token)
            assert (refusal.frame["attach"], refusal.frame["client"]) == (2, client)
        for head in (old, {**old, "client": "x" * 16}):
            refusal = await ask(server, "/chat/send", head, [9, 0, "never"])
            check_refusal(refusal, codes.SUPERSEDED, b"", token)
        poll = {**old, "type": "poll", "poll": 1, "ack": 0}
        check_refusal(await ask(server, "/chat/poll", poll), codes.SUPERSEDED, b"", token)
        ahead = await ask(server, "/chat/send", {**old, "attach": 2**53 - 1}, [9, 0, "never"])
        check_refusal(ahead, codes.NOT_ATTACHED, b"", token)
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_superseded_websocket_is_told_the_new_client(
    server: SharedServer, transport: str
) -> None:
    """ATT-5: its last frame names the new client."""
    async with offender("websocket", server.port) as session:
        taker = Offender(transport, server.port)
        try:
            fields = {"session": session.token, "first_retained": 2, "attach": 2}
            await taker.attach_with(json.loads(opening(**fields)))
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
    """RES-5, RES-7: another client's resume is reset, and the session is not affected."""
    async with offender(transport, server.port) as session:
        good = {"session": session.token, "attach": 2, "first_retained": 2}
        opened = await open_anew(server, transport, opening(**{**good, **fields}))
        assert opened["reset"] == {"reason": reason, **NOTHING_KNOWN}
        await session.exchange("next")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_resume_below_acknowledged_is_reset_as_trimmed(
    server: SharedServer, transport: str
) -> None:
    """RES-5 (`trimmed`), RES-7: the answer says which messages are lost."""
    async with offender("websocket", server.port) as session:
        session.acknowledges = True
        await session.exchange("next")
        wire = opening(session=session.token, attach=2, received=0, first_retained=3)
        opened = await open_anew(server, transport, wire)
        verdict = {"reason": "trimmed", "lost": [1, 2], "handled": 2, "in_hand": None}
        assert opened["reset"] == verdict
        await session.exchange("goes on")


async def test_newest_of_hundred_polls_waits(server: SharedServer) -> None:
    """POL-2: the newest poll waits, and the others get an empty answer."""
    async with offender("longpoll", server.port) as session, tcp_clients(server.port, 100) as wires:
        session.connection.polls = 100
        for number, wire in enumerate(wires, 1):
            poll = session.head("poll", poll=number, ack=1)
            await wire.write(request_bytes("POST", "/chat/poll", encode(poll).encode()))
            if number > 1:
                older = await wires[number - 2].answer()
                # A poll that was parked for long was answered by an ack before the next came.
                assert older.status == 200
                assert older.frames in ([], [{"type": "ack", "ack": 1}])
        await session.send_data([2, 1, "next"])
        last = await wires[-1].answer()
        if last.frames == [{"type": "ack", "ack": 1}]:  # so was this one
            await session.receive_next()
        else:
            assert [frame[2:] for frame in last.frames] == [["next"]]
