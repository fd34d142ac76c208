"""The messages between a page and the application of `as_websocket`."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import (
    ACCEPT,
    TRANSPORTS,
    Recorder,
    each_transport,
    end_of,
    said,
    served,
)
from transport import Hub, Limits, as_websocket
from transport.testing import drive


@each_transport
async def test_connection_outlives_cuts_and_transports(transport: str) -> None:
    app = Recorder()
    sent = ["text", b"\x00bytes", "", b"", "\u20ac"]
    async with served(app, transport=transport) as page:
        for other in (*TRANSPORTS, transport):
            for message in sent:
                await page.send(message)
            page.cut()
            page.transport = other
            assert await page.resume()
            for message in sent:
                assert await page.receive() == message
        await page.close(4001, "done")
    assert app.events[0] == {"type": "websocket.connect"}
    texts = [event.get("text", event.get("bytes")) for event in app.events[1:-1]]
    assert texts == sent * 4
    assert app.events[-1] == {"type": "websocket.disconnect", "code": 4001, "reason": "done"}


async def test_json_value_arrives_as_text() -> None:
    app = Recorder()
    async with served(app) as page:
        await page.send({"a": [1, None, "\u20ac"]})
        assert await page.receive() == '{"a":[1,null,"\u20ac"]}'


@pytest.mark.parametrize(
    ("event", "arrives"),
    [
        ({"text": "t", "bytes": None}, "t"),
        ({"text": None, "bytes": b"b"}, b"b"),
        ({"bytes": bytearray(b"b")}, b"b"),
        ({"text": ""}, ""),
    ],
)
async def test_send_takes_the_key_that_has_a_value(event: Message, arrives: object) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", **event})
        await send({"type": "websocket.close"})

    async with served(app) as page:
        assert await page.receive() == arrives
        assert await end_of(page) == (1000, "")


async def test_send_without_text_or_bytes_raises() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with pytest.raises(ValueError, match="text or bytes"):
            await send({"type": "websocket.send"})
        await send(said("still open"))
        await send({"type": "websocket.close"})

    async with served(app) as page:
        assert await page.receive() == "still open"


async def test_send_of_too_large_message_raises() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        with pytest.raises(ValueError, match=r"Limits\(message="):
            await send(said("x" * 101))
        await send({"type": "websocket.close"})

    async with drive(Hub(as_websocket(app), limits=Limits(message=100))) as page:
        assert await end_of(page) == (1000, "")


async def test_send_waits_for_window_of_stalled_page() -> None:
    """DAT-6: a page that acknowledges nothing is waited for, beyond ``stall`` too."""
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send(ACCEPT)
        for index in range(20):
            await send(said(str(index)))
            sent += 1
        await send({"type": "websocket.close"})

    # The page answers heartbeats late enough to be alive at the end of two stalls.
    limits = Limits(window_messages=5, stall=1.0, heartbeat=20.0)
    async with drive(Hub(as_websocket(app), limits=limits)) as page:
        page.stop_reading()
        await asyncio.sleep(3)
        assert sent < 20
        page.read_on()
        assert [await page.receive() for _ in range(20)] == [str(index) for index in range(20)]
        assert await end_of(page) == (1000, "")


async def test_receive_before_accept_gets_no_message() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        early = asyncio.ensure_future(receive())
        await asyncio.sleep(1)
        assert not early.done()
        accepted = asyncio.get_running_loop().time()
        await send(ACCEPT)
        event = await early
        assert asyncio.get_running_loop().time() == accepted
        await send(said(event["text"]))
        await receive()

    async with served(app) as page:
        await page.send("early")
        assert await page.receive() == "early"
        await page.close()


async def test_receive_before_accept_gets_the_disconnect() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive()])

    async with served(app) as page:
        await page.send("never accepted")
        await page.close(3000, "bye")
    assert seen[1] == {"type": "websocket.disconnect", "code": 3000, "reason": "bye"}
