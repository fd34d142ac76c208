"""Applications that use their connection in several tasks, or longer than they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import ACCEPT, end_of, said, served
from transport import Busy, Hub, Limits, as_websocket
from transport.testing import drive, until

SMALL = Limits(window_messages=5)


async def test_sends_of_many_tasks_arrive_in_order() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.gather(*[send(said(str(index))) for index in range(50)])
        await send({"type": "websocket.close"})

    async with drive(Hub(as_websocket(app), limits=SMALL)) as page:
        assert [await page.receive() for _ in range(50)] == [str(index) for index in range(50)]
        assert await end_of(page) == (1000, "")


async def test_close_fails_sends_that_wait() -> None:
    """None of them is lost without an error."""
    failed: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def say(index: int) -> None:
            try:
                await send(said(str(index)))
            except OSError:
                failed.append(index)

        await send(ACCEPT)
        tasks = [asyncio.create_task(say(index)) for index in range(20)]
        await asyncio.sleep(1)
        await send({"type": "websocket.close", "code": 4000})
        await asyncio.wait(tasks)

    async with drive(Hub(as_websocket(app), limits=SMALL)) as page:
        page.stop_reading()
        await asyncio.sleep(2)
        page.read_on()
        received = [str(message) async for message in page]
        assert await end_of(page) == (4000, "")
    assert 0 < len(received) < 20
    assert [*received, *map(str, failed)] == [str(index) for index in range(20)]


async def test_receive_of_two_tasks_raises() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        first = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await receive()
        await send(said((await first)["text"]))
        await send({"type": "websocket.close"})

    async with served(app) as page:
        await page.send("x")
        assert await page.receive() == "x"


async def test_task_that_outlives_application_cannot_send() -> None:
    raised: list[str] = []
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)

        async def later() -> None:
            await asyncio.sleep(1)
            try:
                await send(said("late"))
            except OSError:
                raised.append("send")
            raised.append((await receive())["type"])
            done.set()

        tasks.append(asyncio.create_task(later()))

    tasks: list[asyncio.Task[None]] = []
    async with served(app) as page:
        assert (await end_of(page))[0] == 1011
        await done.wait()
    assert raised == ["send", "websocket.disconnect"]


async def test_background_task_of_denial_runs() -> None:
    ran: list[str] = []

    async def note() -> None:  # a function of the loop: time here does not wait for threads
        ran.append("background")

    async def endpoint(websocket: WebSocket) -> None:
        answer: Response = JSONResponse({}, status_code=429, background=BackgroundTask(note))
        await websocket.send_denial_response(answer)
        ran.append("after")

    async with served(WebSocketRoute("/", endpoint)) as page:
        assert await end_of(page) == (1008, "denied with HTTP status 429")
        await until(lambda: len(ran) == 2)
    assert ran == ["background", "after"]


async def test_streamed_denial_is_a_denial() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"not "
        yield b"you"

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send_denial_response(StreamingResponse(body(), status_code=451))

    async with served(WebSocketRoute("/", endpoint)) as page:
        assert await end_of(page) == (1008, "denied with HTTP status 451")


async def test_dependency_is_released_when_page_expires() -> None:
    released: list[str] = []
    done = asyncio.Event()

    async def resource() -> AsyncIterator[str]:
        try:
            yield "pool"
        finally:
            released.append("pool")
            done.set()

    app = FastAPI()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket, pool: str = Depends(resource)) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{pool}:{text}")

    async with drive(Hub(as_websocket(app)), "/") as page:
        await page.send("x")
        assert await page.receive() == "pool:x"
        page.cut()
        await done.wait()
    assert released == ["pool"]
