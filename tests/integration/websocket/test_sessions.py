"""How the ends of a session, and what a hub does besides, show to a connection. In memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import CloseCode
from websockets.protocol import State

from tests.integration.client.memory_network import Network, in_memory
from transport import (
    Channel,
    Hub,
    Identity,
    Limits,
    SessionReset,
    TooLarge,
    Unreachable,
    as_websocket,
)
from transport.client import Pacing
from transport.client.websocket import ClientConnection, Refused, connect
from transport.protocol.client.events import Rejected

each_transport = pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])


class Echo:
    """An application that echoes, and keeps what it has seen of each of its connections."""

    def __init__(self) -> None:
        self.connections: list[list[dict[str, Any]]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        events: list[dict[str, Any]] = []
        self.connections.append(events)
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            event = await receive()
            events.append(dict(event))
            if event["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": event["text"]})


def open_to(*transports: str, **options: Any) -> connect:
    transports = transports or ("websocket", "sse", "longpoll")
    return connect("ws://127.0.0.1:1/", transports=transports, proxy=None, **options)


async def end_of(websocket: ClientConnection) -> ConnectionClosed:
    with pytest.raises(ConnectionClosed) as caught:
        await websocket.recv()
    return caught.value


async def rest_of(websocket: ClientConnection) -> tuple[list[str | bytes], ConnectionClosedError]:
    """Return what is still received, and the error after it."""
    received: list[str | bytes] = []
    try:
        async for message in websocket:
            received.append(message)  # noqa: PERF401 - it is kept if it raises
    except ConnectionClosedError as error:
        return received, error
    raise AssertionError("it was closed normally")


@in_memory
@each_transport
async def test_network_that_stays_away_ends_connection(transport: str) -> None:
    network = Network(Hub(as_websocket(app := Echo())))
    loop = asyncio.get_running_loop()
    warnings: list[dict[str, str]] = []
    async with open_to(transport, on_unreachable=warnings.append) as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"
        pong = await websocket.ping()
        await pong
        network.up = False
        network.cut()
        begun = loop.time()
        await websocket.send("lost")
        pong = await websocket.ping()
        await asyncio.sleep(100)
        assert websocket.state is State.OPEN
        assert len(warnings) == 1
        error = await end_of(websocket)
        assert 110 < loop.time() - begun < 130
        assert isinstance(error, ConnectionClosedError)
        assert isinstance(error.__cause__, SessionReset)
        assert (error.__cause__.reason, error.rcvd, error.sent) == ("expired", None, None)
        assert (websocket.state, websocket.close_code) == (State.CLOSED, 1006)
        with pytest.raises(ConnectionClosedError):
            await pong
        network.up = True
        await asyncio.sleep(100)
    assert len(app.connections) == 1  # no new session


@in_memory
async def test_reset_in_mid_session_ends_connection() -> None:
    """The hub sends more at once than the window holds (`overflow`)."""
    hub = Hub(as_websocket(app := Echo()), limits=Limits(window_messages=5))
    Network(hub)
    async with open_to("websocket") as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"
        for number in range(20):
            await hub.broadcast(number)
        _, error = await rest_of(websocket)
        assert str(error.__cause__).startswith("the session was reset: overflow")
        await asyncio.sleep(100)
    assert len(app.connections) == 1


@in_memory
async def test_session_that_follows_a_reset_is_closed() -> None:
    """An `open` that learns of the reset has begun another session."""
    hub = Hub(as_websocket(app := Echo()), limits=Limits(window_messages=5))
    network = Network(hub)
    async with open_to("sse") as websocket:
        network.up = False
        network.cut()
        await asyncio.sleep(1)
        for number in range(20):
            await hub.broadcast(number)
        network.up = True
        error = await end_of(websocket)
        assert str(error.__cause__).startswith("the session was reset: overflow")
        await websocket.wait_closed()
    await asyncio.sleep(5)
    first, second = app.connections
    assert first[-1]["code"] == 1006
    assert second == [
        {
            "type": "websocket.disconnect",
            "code": 1001,
            "reason": "the session before this one was lost",
        }
    ]


@in_memory
async def test_failure_of_application_closes_with_1011() -> None:
    """Also if the hub would let a channel open again (CLS-8)."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.receive_text()
        raise ZeroDivisionError

    Network(Hub(as_websocket(fail), on_error="reopen"))
    async with open_to("websocket") as websocket:
        await websocket.send("x")
        error = await end_of(websocket)
        assert error.rcvd is not None
        assert error.rcvd.code == CloseCode.INTERNAL_ERROR
        await asyncio.sleep(30)
        assert websocket.state is State.CLOSED


@in_memory
async def test_messages_that_nobody_receives_end_connection() -> None:
    async def pour(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for _ in range(100):
            await send({"type": "websocket.send", "bytes": b"x"})
        await receive()
        await receive()

    Network(Hub(as_websocket(pour)))
    async with open_to("websocket", pacing=Pacing(queue_messages=10)) as websocket:
        await websocket.wait_closed()
        received, error = await rest_of(websocket)
        assert received[:10] == [b"x"] * 10
        assert "too many unread messages" in str(error.__cause__)
        assert websocket.close_code == 1006


@in_memory
async def test_message_that_is_refused_ends_connection() -> None:
    """No hub refuses one of such a connection; one of another version might (DAT-5)."""
    Network(Hub(as_websocket(app := Echo())))
    async with open_to() as websocket:
        driver = websocket.channel._driver
        driver._act([Rejected(1, 1, 10, "too_large")])
        error = await end_of(websocket)
        assert isinstance(error.__cause__, TooLarge)
        assert websocket.close_code == 1006
        await websocket.wait_closed()
    assert app.connections[0][-1]["code"] == 1001


@in_memory
async def test_json_of_the_hub_arrives_as_text() -> None:
    """An application sends text and bytes; a hub may broadcast other values."""
    hub = Hub(as_websocket(Echo()))
    Network(hub)
    async with open_to() as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"
        await hub.broadcast({"a": ["é", 1]})
        assert await websocket.recv() == '{"a":["é",1]}'


# Refusals


def chat_of(answer: Any) -> Hub:
    async def chat(channel: Channel) -> None:
        await channel.send(answer)
        await channel.wait_closed()

    return Hub(chat)


@in_memory
async def test_hub_without_application_says_what_to_do() -> None:
    Network(chat_of("hello"))
    with pytest.raises(Refused, match="not as_websocket") as caught:
        await open_to()
    assert caught.value.response.status_code == 404


@in_memory
async def test_refused_credentials_raise_status_401() -> None:
    async def authenticate(connection: Any, credentials: Any) -> None:
        assert credentials == "secret"

    Network(Hub(as_websocket(Echo()), authenticate=authenticate))
    with pytest.raises(InvalidStatus, match="unauthorized") as caught:
        await open_to(credentials="secret")
    assert caught.value.response.status_code == 401


@in_memory
async def test_failure_before_accept_raises_status_500() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    Network(Hub(as_websocket(fail)))
    with pytest.raises(InvalidStatus) as caught:
        await open_to()
    assert caught.value.response.status_code == 500


@in_memory
async def test_server_that_is_down_is_told_at_once() -> None:
    """As soon as every transport has failed; `transport.connect` would go on trying."""
    network = Network(Hub(as_websocket(Echo())))
    network.up = False
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Unreachable, match=r"websocket: .*; sse: .*; longpoll: "):
        await open_to(open_timeout=None)
    assert asyncio.get_running_loop().time() - begun < 15


@in_memory
async def test_limit_of_the_hub_is_worth_another_attempt() -> None:
    """It is an `OSError`, after which the iterator tries again; a status 429 would be fatal."""
    Network(Hub(as_websocket(Echo()), limits=Limits(sessions=1)))
    async with open_to():
        with pytest.raises(Unreachable, match="too_many"):
            await open_to()


# A channel that is closed otherwise


@in_memory
async def test_close_of_user_closes_with_4401() -> None:
    async def authenticate(connection: Any, credentials: Any) -> Identity:
        return Identity("ann")

    hub = Hub(as_websocket(Echo()), authenticate=authenticate)
    Network(hub)
    async with open_to() as websocket:
        await hub.close_user("ann")
        error = await end_of(websocket)
        assert error.rcvd is not None
        assert error.rcvd.code == websocket.close_code == 4401
