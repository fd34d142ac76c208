"""How the application of `as_websocket` ends, and how its session does."""

from __future__ import annotations

import asyncio

import pytest
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.support.clients.frame_client import frame_client
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import (
    ACCEPT,
    Recorder,
    each_transport,
    end_of,
    logged,
    said,
    served,
)
from transport import Hub, Limits, as_websocket
from transport.testing import drive


async def test_exception_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(said("before"))
        raise KeyError("mine")

    async with served(app) as page:
        assert await page.receive() == "before"
        assert (await end_of(page))[0] == 1011
    assert logged(caplog, "handler_failed") == 1


async def test_exception_before_accept_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("mine")

    async with served(app) as page:
        assert (await end_of(page))[0] == 1011
    assert logged(caplog, "handler_failed") == 1


async def test_exception_after_disconnect_keeps_code_of_page(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        raise KeyError("mine")

    async with served(app) as page:
        await page.close(4001, "done")
        assert await end_of(page) == (4001, "done")
    assert logged(caplog, "handler_failed") == 1


async def test_uncaught_websocket_disconnect_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    async with served(WebSocketRoute("/", endpoint)) as page:
        await page.send("x")
        await page.close(4001)
        assert await end_of(page) == (4001, "")
    assert logged(caplog, "handler_failed") == 0


async def test_websocket_disconnect_of_open_connection_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may be that of another connection, of a client that the application uses."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        raise WebSocketDisconnect(1001)

    async with served(WebSocketRoute("/", endpoint)) as page:
        assert (await end_of(page))[0] == 1011
    assert logged(caplog, "handler_failed") == 1


async def test_return_without_close_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    """A page's library connects again after it, as after the 1006 that servers make of it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(said("all"))

    async with served(app) as page:
        assert await page.receive() == "all"
        assert await end_of(page) == (1011, "the application returned without a close")
    assert logged(caplog, "handler_failed") == 0


async def test_return_without_accept_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    async with served(app) as page:
        assert (await end_of(page))[0] == 1011
    assert logged(caplog, "handler_failed") == 1
    assert "without accepting" in caplog.text


async def test_expired_session_disconnects_with_1006() -> None:
    app = Recorder()
    async with drive(Hub(as_websocket(app))) as page:
        await page.send("x")
        assert await page.receive() == "x"
        page.cut()
        await app.ended.wait()
    expired = {"type": "websocket.disconnect", "code": 1006, "reason": "expired"}
    assert app.events[-1] == expired
    assert type(app.events[-1]["reason"]) is str


@each_transport
async def test_drain_closes_with_1012(transport: str) -> None:
    app = Recorder()
    hub = Hub(as_websocket(app))
    async with drive(hub, transport=transport) as page:
        await page.send("x")
        assert await page.receive() == "x"
        async with asyncio.timeout(5):
            await hub.drain()
        assert (await end_of(page))[0] == 1012
    assert app.events[-1]["code"] == 1012


async def test_drain_tells_no_busy_message_as_handled() -> None:
    """CLS-3: the application may be stopped in the middle of the message that it has in hand."""
    busy, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await receive()
        busy.set()
        await go_on.wait()

    hub = Hub(as_websocket(app))
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        await client.send([1, 0, "x"])
        await busy.wait()
        drained = asyncio.create_task(hub.drain())
        frames = (await client.ended()).frames
        go_on.set()
        await drained
    [close] = [frame for frame in frames if frame["type"] == "close"]
    assert (close["code"], close["ack"], close.get("in_hand")) == (1012, 0, 1)


async def test_drain_ends_stream_of_silent_page() -> None:
    """A page that does not answer the close keeps its server no longer than ``drain_window``."""
    hub = Hub(as_websocket(Recorder()), limits=Limits(drain_window=3.0))
    async with frame_client(hub, "sse") as client:
        await client.confirm()
        await client.send([1, 0, "x"])
        assert await client.data() == ["x"]
        before = asyncio.get_running_loop().time()
        await hub.drain()
        frames = (await client.ended()).frames
        assert asyncio.get_running_loop().time() - before < 5
    assert [frame["code"] for frame in frames if frame["type"] == "close"] == [1012]


async def test_revoked_user_disconnects_application() -> None:
    app = Recorder()
    hub = Hub(as_websocket(app))
    async with drive(hub) as page:
        await page.send("x")
        assert await page.receive() == "x"
        await hub.close_user("")
        assert (await end_of(page))[0] == 4401
        await app.ended.wait()
    assert app.events[-1]["code"] == 4401


async def test_application_that_stays_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with served(app) as page:
        await page.close(within=60)
        await cancelled.wait()
        assert (await end_of(page))[0] == 1011
    assert logged(caplog, "handler_failed") == 0


async def test_cancelled_receive_loses_no_message() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        received: list[str] = []
        while len(received) < 5:
            try:
                received.append((await asyncio.wait_for(receive(), 0.01))["text"])
            except TimeoutError:
                continue
        await send(said(",".join(received)))
        await send({"type": "websocket.close"})

    async with served(app) as page:
        for index in range(5):
            await page.send(str(index))
            await asyncio.sleep(0.025)
        assert await page.receive() == "0,1,2,3,4"
