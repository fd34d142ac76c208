"""Closes, and what an application may still do after them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.endpoints import WebSocketEndpoint
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import (
    ACCEPT,
    ASSIGNED,
    Recorder,
    each_transport,
    end_of,
    said,
    served,
    warnings,
)


@each_transport
@pytest.mark.parametrize("code", ASSIGNED)
async def test_close_of_application_reaches_page(transport: str, code: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": code, "reason": "why \u20ac"})

    async with served(app, transport=transport) as page:
        assert await end_of(page) == (code, "why \u20ac")


@pytest.mark.parametrize("event", [{}, {"code": None, "reason": None}])
async def test_close_without_code_is_1000(event: Message) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", **event})

    async with served(app) as page:
        assert await end_of(page) == (1000, "")


@each_transport
@pytest.mark.parametrize("code", ASSIGNED)
async def test_close_of_page_reaches_application(transport: str, code: int) -> None:
    app = Recorder()
    async with served(app, transport=transport) as page:
        await page.close(code, "why \u20ac")
        await app.ended.wait()
        assert await end_of(page) == (code, "why \u20ac")
    closed = {"type": "websocket.disconnect", "code": code, "reason": "why \u20ac"}
    assert app.events[-1] == closed


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 1010])
async def test_close_code_without_equal_is_1008(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """CLS-9."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": code, "reason": "x" + "\u20ac" * 41})

    async with served(app) as page:
        assert await end_of(page) == (1008, f"{code}: x" + "\u20ac" * 38)
    assert warnings(caplog) == ["close code"]


async def test_endpoint_that_refuses_text_closes_with_1008(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Starlette closes with 1003 and raises when a message is not JSON."""

    class Endpoint(WebSocketEndpoint):
        encoding = "json"

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await websocket.send_json({"got": data})

    async with served(Endpoint) as page:
        await page.send({"a": 1})
        assert await page.receive() == '{"got":{"a":1}}'
        await page.send("not JSON")
        assert await end_of(page) == (1008, "1003")
    assert warnings(caplog) == ["close code"]


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_close_code_that_nobody_may_send_raises(code: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with pytest.raises(ValueError, match="close code"):
            await send({"type": "websocket.close", "code": code})
        await send({"type": "websocket.close", "code": 4000})

    async with served(app) as page:
        assert await end_of(page) == (4000, "")


async def test_send_after_close_raises() -> None:
    raised: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4000})
        for event in (said("late"), {"type": "websocket.close"}, ACCEPT):
            with pytest.raises(RuntimeError, match="closed"):
                await send(event)
            raised.append(event["type"])
        await receive()
        assert (await receive())["code"] == 4000  # as servers do once the client has answered

    async with served(app) as page:
        assert await end_of(page) == (4000, "")
        await asyncio.sleep(0)
    assert len(raised) == 3


@pytest.mark.parametrize(
    "event", [said("x"), {"type": "websocket.http.response.body"}, {"type": "lifespan.startup"}]
)
async def test_event_before_accept_raises(event: Message) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError, match="connecting"):
            await send(event)
        await send(ACCEPT)
        with pytest.raises(RuntimeError, match="accepted"):
            await send(ACCEPT)
        await send({"type": "websocket.close"})

    async with served(app) as page:
        assert await end_of(page) == (1000, "")


async def test_receive_after_disconnect_raises() -> None:
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(RuntimeError, match="disconnect"):
            await receive()
        with pytest.raises(OSError, match="closed"):
            await send(said("late"))
        await send({"type": "websocket.close", "code": 4005})  # no effect: the page has closed
        done.set()

    async with served(app) as page:
        await page.close(4001)
        await done.wait()
        assert await end_of(page) == (4001, "")


async def test_messages_before_a_close_are_all_answered() -> None:
    """CLS-2."""
    app = Recorder()
    async with served(app) as page:
        for index in range(10):
            await page.send(str(index))
        await page.close()
        received = [message async for message in page]
    assert received == [str(index) for index in range(10)]
    assert [event.get("text") for event in app.events[1:-1]] == received


async def test_slow_replies_after_a_close_arrive() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while (event := await receive())["type"] == "websocket.receive":
            await send(said("begun"))
            await asyncio.sleep(0.6)
            await send(said(event["text"]))

    async with served(app) as page:
        for index in range(4):
            await page.send(str(index))
        await page.close()
        received = [message async for message in page]
    assert received == ["begun", "0", "begun", "1", "begun", "2", "begun", "3"]


async def test_send_only_application_learns_of_expiry() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send(said("tick"))
                await asyncio.sleep(10)
        except OSError:
            ended.set()

    async with served(app) as page:
        assert await page.receive() == "tick"
        page.cut()
        await ended.wait()


async def test_send_only_application_learns_of_close() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            while True:
                await send(said("tick"))
                await asyncio.sleep(0.3)
        except OSError:
            ended.set()
            raise  # servers take it for the end

    async with served(app) as page:
        await page.send("never read")
        assert await page.receive() == "tick"
        before = asyncio.get_running_loop().time()
        await page.close(4002)
        await ended.wait()
        assert asyncio.get_running_loop().time() - before < 3
        assert await end_of(page) == (4002, "")
