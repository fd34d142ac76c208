"""Each size and count at its bound, one below and one above it, on each transport (section 12)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import frame_client, try_open
from tests.support.counted import counted
from tests.unit.server.limits.bounds import LIMITS, around, deaf, each_transport, echo
from transport import Channel, Hub, Identity, Limits, TooLarge, Unsendable
from transport.testing import drive, lines, opening


def nested(depth: int) -> Any:
    """Return a message of arrays and objects nested to this depth."""
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@each_transport
async def test_opened_advertises_limits_and_timings(transport: str) -> None:
    """OPN-6: for the defaults and for custom limits."""
    for limits in (Limits(), LIMITS):
        async with frame_client(Hub(echo, limits=limits), transport) as client:
            assert client.opened["limits"] == {
                "message": limits.message,
                "body": -(-limits.message * 4 // 3) + 1024,
                "batch": limits.batch,
                "depth": limits.depth,
                "window_messages": limits.window_messages,
                "window_bytes": limits.window_bytes,
            }
            assert client.opened["timings"] == {
                "heartbeat": limits.heartbeat,
                "ttl": limits.ttl,
                "closing": limits.closing,
                "poll_hold": limits.poll_hold,
                "stream": limits.stream,
                "stall": limits.stall,
            }


# message


@each_transport
@around
@pytest.mark.parametrize("kind", ["text", "bytes"])
@pytest.mark.parametrize("limits", [LIMITS, Limits()], ids=["small", "default"])
async def test_message_limit_is_checked_by_send(
    transport: str, beyond: int, kind: str, limits: Limits
) -> None:
    """DAT-4: either side raises in `send`, naming the limit and how to raise it."""
    size = limits.message + beyond
    message: Any = b"\xff" * size if kind == "bytes" else "x" * (size - 2)
    raised: list[TooLarge] = []

    async def handler(channel: Channel) -> None:
        try:
            await channel.send(message)
        except TooLarge as error:
            raised.append(error)
        await echo(channel)

    async with drive(Hub(handler, limits=limits), transport=transport) as page:
        if beyond > 0:
            await page.send("y")
            assert await page.receive() == "y"
            with pytest.raises(TooLarge) as refused:
                await page.send(message)
            for error in (refused.value, *raised):
                assert (error.size, error.limit) == (size, limits.message)
                assert "raise Limits(message=...) on the server" in str(error)
            assert len(raised) == 1
        else:
            assert await page.receive() == message
            await page.send(message)
            assert await page.receive() == message


@each_transport
@around
async def test_message_limit_is_checked_on_receipt(transport: str, beyond: int) -> None:
    """DAT-4, DAT-5: the refusal advances no ack; a skip replaces the message."""
    message = "x" * (LIMITS.message - 2 + beyond)
    async with frame_client(Hub(echo, limits=LIMITS), transport) as client:
        await client.confirm()
        if beyond <= 0:
            await client.send([1, 0, message])
            assert await client.data() == [message]
            return
        error = await client.refusal([1, 0, message])
        assert (error["code"], error["number"], error["limit"]) == ("too_large", 1, "message")
        assert "Limits(message=2000)" in error["message"]
        await client.send({"type": "skip", "number": 1, "ack": 0}, [2, 0, "lives"])
        assert await client.data() == ["lives"]


# body (also the limit of one frame)


@each_transport
@around
async def test_body_limit_ends_connection_not_session(transport: str, beyond: int) -> None:
    """HTTP-1: a body that fits is read; a larger one ends the connection, not the session."""
    hub = Hub(echo, limits=LIMITS)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        head = len(lines(client.head())) if transport != "websocket" else 0
        tail = 0 if transport == "websocket" else 1  # the line's end
        empty = len(json.dumps({"type": "pong", "x": ""}, separators=(",", ":")))
        pong = {"type": "pong", "x": "x" * (LIMITS.body + beyond - head - tail - empty)}
        if beyond <= 0:
            await client.send(pong)
            await client.send([1, 0, "still works"])
            assert await client.data() == ["still works"]
            return
        error = await client.refusal(pong)
        assert (error["code"], error["limit"]) == ("too_large", "body")
        assert str(LIMITS.body) in error["message"]
        assert "Limits(message=...)" in error["message"]
        if transport == "websocket":
            assert (await client.ended()).code == 4413
        else:
            assert (await client.post(pong)).status == 413
        frame = opening(2, session=client.token)
        async with frame_client(hub, transport, frame) as second:
            assert second.opened["verdict"] == "resumed"


@each_transport
@around
async def test_body_limit_applies_to_open(transport: str, beyond: int) -> None:
    """HTTP-1: credentials count too."""
    frame = opening(credentials="")
    tail = 0 if transport == "websocket" else 1
    size = len(json.dumps(frame, separators=(",", ":"))) + tail
    frame["credentials"] = "x" * (LIMITS.body + beyond - size)
    refused = await try_open(Hub(echo, limits=LIMITS), transport, frame)
    assert (refused is not None) is (beyond > 0)
    if refused is not None:
        assert (refused.error["code"], refused.error["limit"]) == ("too_large", "body")
        assert refused.code == (4413 if transport == "websocket" else 413)


# headers


@each_transport
@around
@pytest.mark.parametrize("where", ["header", "name", "path", "query"])
async def test_headers_limit_applies_to_open(transport: str, beyond: int, where: str) -> None:
    """OPN-10: they are kept with the session, so they are counted before `authenticate`."""
    calls: list[Any] = []

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        calls.append(connection.scope)
        return Identity("ada")

    limits = Limits(headers=3000)
    hub = Hub(echo, authenticate=authenticate, limits=limits)

    async def larger(scope: Scope, receive: Receive, send: Send) -> None:
        """Call the hub with a request of exactly that size."""
        rest = b"".join(b"".join(pair) for pair in scope["headers"])
        size = limits.headers + beyond - len(rest) - len(scope["raw_path"])
        long = b"x" * size
        match where:
            case "header":
                pair = (b"cookie", long[6:])
                scope = {**scope, "headers": [*scope["headers"], pair]}
            case "name":
                scope = {**scope, "headers": [*scope["headers"], (long, b"")]}
            case "path":
                path = "/" + "x" * (size - 1) + scope["path"]
                scope = {**scope, "path": path, "raw_path": path.encode()}
            case _:
                scope = {**scope, "query_string": long}
        await hub(scope, receive, send)

    refused = await try_open(larger, transport)
    assert (refused is not None) is (beyond > 0)
    assert len(calls) == (0 if refused else 1)
    if refused is not None:
        error = refused.error
        assert (error["code"], error["limit"]) == ("headers_too_large", "headers")
        assert "Limits(headers=...)" in error["message"]
        assert refused.code == (4431 if transport == "websocket" else 431)
        assert counted(hub).sessions == 0


@each_transport
@around
async def test_number_of_headers_is_limited(transport: str, beyond: int) -> None:
    """OPN-10: an empty header takes more memory than it has bytes."""
    hub = Hub(echo)

    async def more(scope: Scope, receive: Receive, send: Send) -> None:
        pairs = [(b"x", b"")] * (128 + beyond - len(scope["headers"]))
        await hub({**scope, "headers": [*scope["headers"], *pairs]}, receive, send)

    refused = await try_open(more, transport)
    assert (refused is not None) is (beyond > 0)
    if refused is not None:
        assert refused.error["code"] == "headers_too_large"


@each_transport
async def test_headers_of_later_posts_are_not_limited(transport: str) -> None:
    """OPN-10: only the request that opens a connection is kept."""
    hub = Hub(echo)
    is_open = False

    async def larger(scope: Scope, receive: Receive, send: Send) -> None:
        more = [(b"x", b"y" * 20_000)] if is_open else []
        await hub({**scope, "headers": [*scope["headers"], *more]}, receive, send)

    async with frame_client(larger, transport) as client:
        await client.confirm()
        is_open = True
        assert (await client.post()).status == 200


# depth


@each_transport
@around
@pytest.mark.parametrize("limits", [LIMITS, Limits(), Limits(depth=500)])
async def test_depth_limit_refuses_message(transport: str, beyond: int, limits: Limits) -> None:
    """Section 12: the sender's API raises, and the server answers `bad_frame`."""
    message = nested(limits.depth + beyond)
    hub = Hub(echo, limits=limits)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        if beyond <= 0:
            await client.send([1, 0, message])
            assert await client.data() == [message]
            return
        error = await client.refusal([1, 0, message])
        assert (error["code"], error["limit"]) == ("bad_frame", "depth")
        assert f"Limits(depth={limits.depth})" in error["message"]
    async with drive(hub, transport=transport) as page:
        if limits.depth <= 64:  # the client uses the defaults until it knows the server's limits
            with pytest.raises(Unsendable, match=r"deeper than Limits\(depth="):
                await page.send(message)


# batch


@each_transport
@around
async def test_batch_limit_applies_to_messages_of_a_frame(transport: str, beyond: int) -> None:
    """DAT-1, section 12."""
    limits = Limits(batch=10)
    messages = list(range(limits.batch + beyond))
    async with frame_client(Hub(deaf, limits=limits), transport) as client:
        await client.confirm()
        if beyond <= 0:
            await client.send([1, 0, *messages])
            assert (await client.post()).frames[0]["received"] == len(messages)
            return
        error = await client.refusal([1, 0, *messages])
        assert (error["code"], error["limit"]) == ("too_many", "batch")
        assert "Limits(batch=10)" in error["message"]


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@around
async def test_batch_limit_applies_to_lines_of_a_body(transport: str, beyond: int) -> None:
    """SND-1: the first line counts."""
    async with frame_client(Hub(echo, limits=LIMITS), transport) as client:
        pings = [{"type": "ping", "id": number} for number in range(LIMITS.batch - 1 + beyond)]
        answer = await client.post(*pings)
        if beyond <= 0:
            assert [frame["id"] for frame in answer.frames[1:]] == list(range(len(pings)))
            return
        assert answer.status == 429
        assert (answer.frames[0]["code"], answer.frames[0]["limit"]) == ("too_many", "batch")
        assert "Limits(batch=10)" in answer.frames[0]["message"]


@each_transport
async def test_smallest_batch_carries_everything(transport: str) -> None:
    """Section 12: answers to pings and the close fit as well."""
    hub = Hub(echo, limits=Limits(batch=5))
    async with drive(hub, transport=transport) as page:
        for number in range(40):
            await page.send(number)
        assert [await page.receive(within=100) for _ in range(40)] == list(range(40))
        await asyncio.sleep(100)
        await page.send(b"bytes")
        await page.send("last")
        await page.close()
        assert [await page.receive(within=100) for _ in range(2)] == [b"bytes", "last"]
