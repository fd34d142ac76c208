"""What the tests of `as_websocket` share: an application that records, and its page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from transport import ChannelClosed, Hub, as_websocket
from transport.testing import Page, drive

App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRANSPORTS = ["websocket", "sse", "longpoll"]
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
ACCEPT = {"type": "websocket.accept"}
ASSIGNED = [1000, 1001, 1008, 1011, 1012, 1013, 1014, 3000, 4999]


def said(text: str) -> Message:
    return {"type": "websocket.send", "text": text}


class Recorder:
    """An application that accepts, echoes and keeps what it is given."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.events: list[Message] = []
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.events.append(await receive())
        await send(ACCEPT)
        while (event := await receive())["type"] == "websocket.receive":
            self.events.append(event)
            key = "text" if event.get("text") is not None else "bytes"
            await send({"type": "websocket.send", key: event[key]})
        self.events.append(event)
        self.ended.set()


async def end_of(page: Page) -> tuple[int, str]:
    """Return the code and the reason with which the channel closes."""
    try:
        while True:
            await page.receive()
    except ChannelClosed as closed:
        return closed.code, closed.reason


@asynccontextmanager
async def served(app: App, **options: Any) -> AsyncIterator[Page]:
    async with drive(Hub(as_websocket(app)), **options) as page:
        yield page


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        str(vars(record)["what"])
        for record in caplog.records
        if vars(record).get("event") == "not_carried"
    ]


def logged(caplog: pytest.LogCaptureFixture, event: str) -> int:
    return sum(vars(record).get("event") == event for record in caplog.records)
