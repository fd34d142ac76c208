"""The HTTP transports (PROTOCOL.md, sections 8 to 10), and requests that are refused."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import FrameClient, frame_client
from transport import Channel, Hub, Limits
from transport.server.adapters import exchange
from transport.testing import (
    Answer,
    ask,
    denied,
    lines,
    opening,
    request,
    started,
    stream,
    whole,
)

CLIENT = "client-0123456789"


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


def poll(client: FrameClient, number: int, ack: int, **fields: object) -> bytes:
    """Return the body of a poll."""
    return lines(client.head("poll", poll=number, ack=ack, **fields))


async def test_stream_begins_with_opened_and_ack() -> None:
    """SSE-1."""
    async with stream(Hub(silent), "/sse", opening()) as events:
        headers = events.head.headers
        assert events.head.status == 200
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-store, no-transform"
        assert headers["content-encoding"] == "identity"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["vary"] == "Origin"
        assert (await events.frame())["type"] == "opened"
        assert await events.frame() == {"type": "ack", "ack": 0}


async def test_post_is_acked_and_echoed_on_stream() -> None:
    """SND-1, SND-2."""
    hub = Hub(echo)
    async with frame_client(hub, "sse") as client:
        answer = await client.post([1, 0, "a", "b"], {"type": "ping", "id": 7})
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        first, *rest = answer.frames
        assert first["type"] == "ack"
        assert (first["received"], first["ack"], first["attached"]) == (2, 2, True)
        assert rest == [{"type": "pong", "id": 7}]
        assert await client.frame() == [1, 2, "a", "b"]


async def test_repeated_post_is_accepted_once() -> None:
    """SND-1, NUM-3: the answer was lost; the client repeats the message and adds another."""
    hub = Hub(echo)
    async with frame_client(hub, "sse") as client:
        await client.post([1, 0, "a"])
        answer = await client.post([1, 0, "a", "b"])
        assert answer.frames[0]["received"] == 2
        assert await client.frame() == [1, 1, "a"]
        assert await client.frame() == [2, 2, "b"]


async def test_post_with_gap_returns_409_and_expected_number() -> None:
    """SND-3, NUM-3."""
    hub = Hub(silent)
    async with frame_client(hub, "sse") as client:
        answer = await client.post([1, 0, "a"], [3, 0, "c"])
        assert answer.status == 409
        assert answer.frames[0]["code"] == "gap"
        assert answer.frames[0]["expected"] == 2


async def test_lines_before_bad_line_are_accepted() -> None:
    """SND-3, FRM-4."""
    hub = Hub(silent)
    async with frame_client(hub, "sse") as client:
        answer = await client.post_bytes(b'[1,0,"a"]\n{nonsense\n')
        assert (answer.status, answer.frames[0]["code"]) == (400, "bad_json")
        again = await client.post()
        assert again.frames[0]["received"] == 1


async def test_superseded_stream_ends_with_error() -> None:
    """SSE-2, ATT-3."""
    hub = Hub(silent)
    async with frame_client(hub, "sse") as old:
        await old.post()
        async with frame_client(hub, "sse", opening(2, session=old.token)) as new:
            assert new.opened["verdict"] == "resumed"
            await new.post()
            frames = (await old.ended()).frames
            assert frames[-1]["code"] == "superseded"
            assert frames[-1]["attach"] == 2
            assert frames[-1]["client"] == CLIENT


async def test_stream_ends_with_drain_after_stream_limit() -> None:
    """SSE-3."""
    async with stream(Hub(silent, limits=Limits(stream=0.1)), "/sse", opening()) as events:
        frames = await events.rest()
        assert frames[-1] == {"type": "drain", "retry_in": 0.0}


async def test_polls_carry_messages_both_ways() -> None:
    """POL-1, POL-2, POL-3."""
    hub = Hub(echo)
    first = await ask(Hub(echo), "/poll", lines(opening()))
    assert (first.status, first.frames[0]["type"]) == (200, "opened")
    assert int(first.headers["content-length"]) == len(first.body)
    async with frame_client(hub, "longpoll") as client:
        parked = request(hub, "/poll", poll(client, 1, 0))
        await client.post([1, 0, "x"])
        assert (await whole(parked)).frames == [[1, 1, "x"]]
        # The answer was lost: the repeated poll gets the same frames again.
        assert (await ask(hub, "/poll", poll(client, 1, 0))).frames == [[1, 1, "x"]]
        late = poll(client, 1, 0)
        parked = request(hub, "/poll", poll(client, 2, 1))
        await _until_parked(hub)
        answer = await ask(hub, "/poll", late)
        assert (answer.status, answer.body) == (200, b"")
        await client.post([2, 1, "y"])
        assert (await whole(parked)).frames == [[2, 2, "y"]]


async def test_newer_poll_ends_older_one_empty() -> None:
    """POL-2."""
    hub = Hub(echo)
    async with frame_client(hub, "longpoll") as client:
        older = request(hub, "/poll", poll(client, 1, 0))
        await _until_parked(hub)
        newer = request(hub, "/poll", poll(client, 2, 0))
        answer = await whole(older)
        assert (answer.status, answer.body) == (200, b"")
        await client.post([1, 0, "x"])
        assert (await whole(newer)).frames == [[1, 1, "x"]]


async def test_idle_poll_is_answered_after_hold() -> None:
    """POL-3."""
    hub = Hub(silent)
    async with frame_client(hub, "longpoll") as client:
        answer = await ask(hub, "/poll", poll(client, 1, 0, hold=0.05))
        assert answer.frames == [{"type": "ack", "ack": 0}]


async def test_poll_of_unknown_attach_is_refused() -> None:
    """ATT-7."""
    hub = Hub(silent)
    async with frame_client(hub, "longpoll") as client:
        body = poll(client, 1, 0).replace(b'"attach":1', b'"attach":9')
        answer = await ask(hub, "/poll", body)
        assert (answer.status, answer.frames[0]["code"]) == (409, "not_attached")


@pytest.mark.parametrize("path", ["/send", "/poll"])
async def test_bad_tokens_get_identical_answers(path: str) -> None:
    """RES-9."""
    hub = Hub(silent)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    head = {"type": path[1:], "client": CLIENT, "attach": 1}
    if path == "/poll":
        head |= {"poll": 1, "ack": 0}
    answers = [
        await ask(hub, path, lines({**head, "session": token}))
        for token in (
            opened["id"] + ".wrong-secret",
            "no-such-id.secret",
            "nodot",
            "__proto__.x",
            "*",
            ".",
            "é.é",
        )
    ]
    assert {(a.status, a.body) for a in answers} == {(404, answers[0].body)}
    assert answers[0].frames[0]["code"] == "unknown_session"


async def test_session_of_other_process_is_known_by_epoch() -> None:
    """EPO-1."""
    opened = (await ask(Hub(silent), "/poll", lines(opening()))).frames[0]
    other = Hub(silent)
    body = lines(
        {
            "type": "send",
            "session": opened["session"],
            "client": CLIENT,
            "attach": 1,
            "epoch": opened["epoch"],
        }
    )
    answer = await ask(other, "/send", body)
    assert (answer.status, answer.frames[0]["code"]) == (421, "wrong_process")
    again = opening(2, session=opened["session"], epoch=opened["epoch"])
    reopened = (await ask(other, "/poll", lines(again))).frames[0]
    assert reopened["verdict"] == "reset"
    assert reopened["reset"] == {
        "reason": "restarted",
        "lost": None,
        "handled": None,
        "in_hand": None,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json"},
        {"content-type": ""},
        {"content-type": "application/x-ndjson; charset=utf-16"},
        {"content-encoding": "gzip"},
        {"content-encoding": "identity, gzip"},
    ],
)
async def test_other_content_type_or_coding_returns_415(headers: dict[str, str]) -> None:
    """HTTP-1."""
    answer = await ask(Hub(silent), "/poll", lines(opening()), headers=headers)
    assert (answer.status, answer.frames[0]["code"]) == (415, "unsupported_media_type")


async def test_content_type_may_name_utf8() -> None:
    """HTTP-1."""
    headers = {"content-type": 'application/x-ndjson; charset="UTF-8"'}
    answer = await ask(Hub(silent), "/poll", lines(opening()), headers=headers)
    assert answer.status == 200


@pytest.mark.parametrize("declared", [True, False])
async def test_body_beyond_limit_returns_413_and_closes(declared: bool) -> None:
    """HTTP-1."""
    limits = Limits(message=1000)
    body = b"x" * (limits.body + 1)
    headers = {"content-length": str(len(body))} if declared else {}
    chunks = [body[:100], body[100:]]
    answer = await ask(Hub(silent, limits=limits), "/send", headers=headers, chunks=chunks)
    assert (answer.status, answer.frames[0]["code"]) == (413, "too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("version", ["1.0", "1.1", "2"])
async def test_server_that_stops_ends_its_connections(version: str) -> None:
    """DRN-1: a client, or its proxy, reaches another process by a new one. HTTP/2 has no header."""
    hub = Hub(silent)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hub({**scope, "http_version": version}, receive, send)

    opened = (await ask(app, "/poll", lines(opening()))).frames[0]
    head = {"session": opened["session"], "client": CLIENT, "attach": 1}
    polls = [lines({"type": "poll", **head, "poll": number, "ack": 0}) for number in (1, 2)]
    post = lines({"type": "send", **head})
    parked = request(app, "/poll", polls[0])
    assert "connection" not in (await ask(app, "/send", post)).headers
    await hub.drain()
    answers = [await whole(parked)]
    for path, body in (("/send", post), ("/poll", polls[1]), ("/poll", lines(opening()))):
        answers.append(await ask(app, path, body))
    assert answers[0].frames[-1]["type"] == "drain"
    assert answers[-1].frames[-1]["code"] == "unavailable"
    closing = [answer.headers.get("connection") for answer in answers]
    assert closing == [None if version == "2" else "close"] * 4


@pytest.mark.parametrize("ends", [True, False])
async def test_rest_of_refused_body_is_read_for_a_while(
    monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """HTTP-1: otherwise the connection would be reset and the answer lost."""
    monkeypatch.setattr(exchange, "DISCARD_TIMEOUT", 5.0 if ends else 0.01)
    too_long = b"x" * (Limits().body + 1)
    connection = request(Hub(silent), "/send", chunks=[too_long, too_long, b""])
    last = [connection.inbound.get_nowait() for _ in range(3)][-1]
    connection.inbound.put_nowait({**last, "body": too_long, "more_body": True})
    answer = await started(connection)
    assert answer.status == 413
    body = await connection.next()
    assert json.loads(body["body"])["code"] == "too_large"
    assert body["more_body"]
    if ends:
        connection.inbound.put_nowait({**last, "body": too_long, "more_body": True})
        connection.inbound.put_nowait(last)
    assert not (await connection.next()).get("more_body", False)
    assert connection.inbound.empty()


async def test_missing_body_returns_408() -> None:
    """HTTP-1."""
    hub = Hub(silent, limits=Limits(opening=0.05))
    connection = request(hub, "/send", chunks=[b"{", b""])
    connection.inbound.get_nowait()
    connection.inbound.get_nowait()
    answer = await whole(connection)
    assert (answer.status, answer.frames[0]["code"]) == (408, "timeout")


@pytest.mark.parametrize("body", [b"\xff", b"", b"\n", b"[1,0,1]\n", b'{"type":"ping"}\n'])
@pytest.mark.parametrize("path", ["/sse", "/poll", "/send"])
async def test_body_without_known_first_frame_returns_400(path: str, body: bytes) -> None:
    """FRM-2, SND-1, POL-1, SSE-2."""
    answer = await ask(Hub(silent), path, body)
    assert answer.status == 400
    assert answer.frames[0]["code"] in ("bad_json", "bad_frame")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", ["/sse", "/poll", "/send"])
async def test_other_method_returns_405_with_allow(path: str, method: str) -> None:
    """HTTP-1."""
    answer = await ask(Hub(silent), path, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/send", "POST, OPTIONS"),
        ("/poll", "POST, OPTIONS"),
        ("/websocket", "GET, OPTIONS"),
        ("/client.js", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_says_which_methods_are_allowed(path: str, allow: str) -> None:
    """HTTP-1: one that is no preflight; a path without methods is unknown."""
    answer = await ask(Hub(silent), path, method="OPTIONS")
    assert (answer.status, answer.body, answer.headers["allow"]) == (204, b"", allow)
    assert (await ask(Hub(silent), path + "x", method="OPTIONS")).status == 404


async def test_stripped_upgrade_returns_426() -> None:
    """WS-3."""
    answer = await ask(Hub(silent), "/websocket", method="GET")
    assert (answer.status, answer.frames[0]["code"]) == (426, "upgrade_required")


async def test_hub_without_websocket_answers_its_path_by_404() -> None:
    """WS-3: 426 would blame a proxy, and the same path is 404 for a real upgrade."""
    hub = Hub(silent, transports=["sse", "longpoll"])
    for method in ("GET", "POST"):
        answer = await ask(hub, "/websocket", method=method)
        assert (answer.status, answer.frames[0]["code"]) == (404, "not_found")


UPGRADE = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


async def test_host_without_websocket_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """WS-3: a whole handshake came as a plain request, so no proxy has stripped it."""
    hub = Hub(silent)
    for _ in range(3):
        answer = await ask(hub, "/websocket", method="GET", headers=UPGRADE)
        assert (answer.status, answer.frames[0]["code"]) == (426, "upgrade_required")
        assert "the server serves no WebSocket" in answer.frames[0]["message"]
    [record] = caplog.records
    assert record.getMessage().startswith("websocket_unavailable: ")
    assert "uvicorn[standard]" in record.getMessage()


@pytest.mark.parametrize("missing", ["connection", "upgrade", "sec-websocket-key"])
async def test_stripped_upgrade_is_not_blamed_on_host(
    missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """WS-3."""
    headers = {name: value for name, value in UPGRADE.items() if name != missing}
    answer = await ask(Hub(silent), "/websocket", method="GET", headers=headers)
    assert (answer.status, answer.frames[0]["code"]) == (426, "upgrade_required")
    assert "a proxy on the way may have stripped it" in answer.frames[0]["message"]
    assert not caplog.records


async def test_unknown_path_returns_404() -> None:
    """HTTP-1, WS-2."""
    hub = Hub(silent)
    for answer in (await ask(hub, "/nothing"), await denied(hub, "/nothing")):
        assert (answer.status, answer.frames[0]["code"]) == (404, "not_found")


async def test_transport_not_offered_returns_404() -> None:
    """WS-2."""
    hub = Hub(silent, transports=("longpoll",))
    assert (await ask(hub, "/sse", lines(opening()))).status == 404
    assert (await denied(hub, "/websocket")).status == 404
    assert (await ask(hub, "/poll", lines(opening()))).status == 200


async def _until_parked(hub: Hub) -> None:
    """Let the ready tasks run: the in-process driver has no other delay."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert isinstance(hub, Hub)


def test_answer_frames_are_lines_of_body() -> None:
    """`Answer` splits its body into frames, one for each line."""
    assert Answer(200, {}, b'[1]\n{"a":2}\n').frames == [[1], {"a": 2}]
