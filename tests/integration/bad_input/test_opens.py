"""Bad opens, and bad first lines of POSTs and polls: each is refused with its code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.bad_input.attempts import (
    LINES,
    check_refusal,
    open_badly,
)
from tests.integration.bad_input.offender import Refusal, offender
from tests.integration.bad_input.open_rows import HEADS, OPENS, POLLS, opening
from tests.integration.bad_input.rows import Row
from tests.integration.bad_input.shared_server import SharedServer
from tests.support.clients.frame_client import TRANSPORTS, encode
from transport import codes


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("row", OPENS, ids=repr)
async def test_bad_open_makes_no_session(server: SharedServer, row: Row, transport: str) -> None:
    """OPN-1 to OPN-5, OPN-9: the open is refused with its code, and no session is created."""
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
    """SSE-2, POL-1: a body that does not begin with an open is refused."""
    wire, code = LINES[name]
    refusal = await open_badly(server, transport, wire)
    # The body of a stream is one frame, whatever its line breaks.
    check_refusal(refusal, codes.BAD_JSON if transport == "sse" else code, wire)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("versions", [[], [2], [0]])
async def test_resume_in_other_version_leaves_session(
    server: SharedServer, transport: str, versions: list[int]
) -> None:
    """OPN-2: the session survives."""
    async with offender(transport, server.port) as session:
        wire = opening(session=session.token, client=session.client, attach=2, versions=versions)
        check_refusal(
            await open_badly(server, transport, wire), codes.UNSUPPORTED_VERSION, b"", session.token
        )
        await session.exchange("next")


def _head(row: Row, session: Any, kind: str, **fields: object) -> bytes:
    """Return the first line that a row describes."""
    field, equals, text = row.wire.decode().partition("=")
    if not equals or not field.isidentifier():
        return row.wire
    head = session.head(kind, **fields)
    head.pop(field, None)
    return (encode(head)[:-1] + f',"{field}":{text}}}').encode()


@pytest.mark.parametrize("row", HEADS, ids=repr)
async def test_bad_first_line_of_post_is_refused(server: SharedServer, row: Row) -> None:
    """SND-1: a bad first line of a POST is refused with its code."""
    async with offender("sse", server.port) as session:
        wire = _head(row, session, "send") + b'\n[2,0,"never"]'
        answer = await session.request("send", wire)
        refusal = Refusal(json.loads(answer.body), status=answer.status)
        check_refusal(refusal, row.code, wire, session.token)
        await session.exchange("next")


@pytest.mark.parametrize("row", [one for one in HEADS if "open" not in one.id] + POLLS, ids=repr)
async def test_bad_poll_is_refused(server: SharedServer, row: Row) -> None:
    """POL-1: a bad poll is refused with its code."""
    async with offender("longpoll", server.port) as session:
        wire = _head(row, session, "poll", poll=session.connection.polls + 1, ack=0)
        answer = await session.request("poll", wire)
        refusal = Refusal(json.loads(answer.body), status=answer.status)
        check_refusal(refusal, row.code, wire, session.token)
        await session.exchange("next")
        await session.check_resume()
