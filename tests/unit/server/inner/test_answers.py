"""The answer of the application of `as_websocket`: an accept or a denial (TGT-1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.clients.frame_client import FrameClient, frame_client, open_frame
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import (
    ACCEPT,
    App,
    Recorder,
    each_transport,
    end_of,
    logged,
    said,
    served,
    warnings,
)
from transport import Hub, as_websocket
from transport.testing import drive


@each_transport
async def test_denial_closes_with_status(transport: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4000, "reason": "not carried"})
        assert (await receive())["type"] == "websocket.disconnect"

    async with served(app, transport=transport) as page:
        assert await end_of(page) == (1008, "denied with HTTP status 403")


async def test_denial_response_closes_with_its_status(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "websocket.http.response.start", "status": 429, "headers": []}
        body = {"type": "websocket.http.response.body", "body": b"slow", "more_body": True}
        for event in (start, body, {**body, "more_body": False}):
            await send(event)

    hub = Hub(as_websocket(app))
    for _ in range(2):
        async with drive(hub) as page:
            assert await end_of(page) == (1008, "denied with HTTP status 429")
    assert warnings(caplog) == ["denial body"]


async def test_denial_without_body_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
        await send({"type": "websocket.http.response.body"})

    async with served(app) as page:
        assert await end_of(page) == (1008, "denied with HTTP status 404")
    assert warnings(caplog) == []


async def test_accept_headers_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**ACCEPT, "headers": [(b"set-cookie", b"secret")], "subprotocol": "x"})
        await send({"type": "websocket.close"})

    hub = Hub(as_websocket(app))
    for _ in range(2):
        async with drive(hub) as page:
            assert await end_of(page) == (1000, "")
    assert warnings(caplog) == ["accept headers"]
    assert "secret" not in caplog.text


@asynccontextmanager
async def targeting(
    app: App, transport: str, *subprotocols: str, hub: Hub | None = None
) -> AsyncIterator[FrameClient]:
    frame = open_frame(target={"subprotocols": list(subprotocols)})
    async with frame_client(hub or Hub(as_websocket(app)), transport, frame) as client:
        await client.confirm()
        yield client


@each_transport
@pytest.mark.parametrize("chosen", ["chat.v1", None, "other"])
async def test_target_is_accepted_by_message_1(
    transport: str, chosen: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    offered: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        offered.extend(scope["subprotocols"])
        assert (b"sec-websocket-protocol", b"chat.v2, chat.v1") in scope["headers"]
        await send({**ACCEPT, "subprotocol": chosen})
        await send(said("hello"))
        await receive()
        await receive()

    async with targeting(app, transport, "chat.v2", "chat.v1") as client:
        messages: list[Any] = []
        while len(messages) < 2:
            messages += await client.data()
    assert messages == [{"accept": chosen if chosen == "chat.v1" else None}, "hello"]
    assert offered == ["chat.v2", "chat.v1"]
    assert warnings(caplog) == (["subprotocol"] if chosen == "other" else [])


@each_transport
async def test_target_is_denied_by_message_1(transport: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    async with targeting(app, transport) as client:
        assert await client.data() == [{"deny": 403}]
        close = await client.control("close")
    assert (close["code"], close["reason"]) == (1008, "denied with HTTP status 403")


@pytest.mark.parametrize("returns", [False, True])
async def test_target_of_failing_application_is_denied(
    returns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if not returns:
            raise KeyError("mine")

    async with targeting(app, "websocket") as client:
        assert await client.data() == [{"deny": 500}]
        assert (await client.control("close"))["code"] == 1008
    assert logged(caplog, "handler_failed") == 1


@pytest.mark.parametrize("answer", [ACCEPT, {"type": "websocket.close"}])
@pytest.mark.parametrize("has_target", [False, True])
async def test_answer_after_the_end_of_session(answer: Message, has_target: bool) -> None:
    """An accept raises OSError, as servers do; a denial has no effect."""
    raised: list[bool] = []
    stopped = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert [(await receive())["type"] for _ in range(2)][1] == "websocket.disconnect"
        try:
            await send(answer)
            raised.append(False)
        except OSError:
            raised.append(True)
        stopped.set()

    hub = Hub(as_websocket(app))
    frame = open_frame(target={"subprotocols": []}) if has_target else open_frame()
    async with frame_client(hub, "websocket", frame) as client:
        await client.confirm()
        await hub.drain()
        await stopped.wait()
    assert raised == [answer is ACCEPT]


@each_transport
async def test_target_resumes_without_second_answer(transport: str) -> None:
    app = Recorder()
    hub = Hub(as_websocket(app))
    frame = open_frame(target={"subprotocols": []})
    async with frame_client(hub, transport, frame) as client:
        await client.confirm()
        assert await client.data() == [{"accept": None}]
        again = {**frame, "session": client.token, "attach": 2, "received": 1}
        async with frame_client(hub, transport, again) as second:
            assert second.opened["verdict"] == "resumed"
            await second.confirm(1)
            await second.send([1, 1, "hello"])
            assert await second.data() == ["hello"]
    assert len([e for e in app.events if e["type"] == "websocket.connect"]) == 1
