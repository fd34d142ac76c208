"""A client that writes each frame by hand, in process: the same over each transport.

async with hand(hub, "sse") as client:
    await client.send([1, 0, "hello"])
    assert await client.data() == ["hello"]
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from transport.testing import (
    Answer,
    Socket,
    Stream,
    ask,
    lines,
    opening,
    request,
    socket,
    stream,
    whole,
)

TRANSPORTS = ("websocket", "sse", "longpoll")
PATHS = {"websocket": "/websocket", "sse": "/sse", "longpoll": "/poll"}
CLIENT = "client-0123456789"
WITHIN = 1000.0
"""Seconds after which nothing comes, of a clock that jumps."""


class Ended(Exception):
    """The connection is over.

    Attributes:
        code: the close code, or the HTTP status; None where a stream ended without a word.
        frames: the last ones.
    """

    def __init__(self, code: int | None, frames: list[Any]) -> None:
        super().__init__(code, frames)
        self.code = code
        self.frames = frames

    @property
    def error(self) -> dict[str, Any]:
        """Its ``error`` frame."""
        return next(one for one in self.frames if one["type"] == "error")


class Hand:
    """One attach.

    Attributes:
        opened: the answer to ``open``.
    """

    def __init__(self, hub: ASGIApp, opened: dict[str, Any], token: str) -> None:
        self.hub = hub
        self.opened = opened
        self.token = token

    @property
    def _head(self) -> dict[str, Any]:
        return {"session": self.token, "client": CLIENT, "attach": self.opened["attach"]}

    async def post(self, *frames: object) -> Answer:
        """POST ``send``, whatever the transport."""
        return await ask(self.hub, "/send", lines({"type": "send", **self._head}, *frames))

    async def send(self, *frames: object) -> None:
        """Send frames.

        Raises:
            Ended: they were refused.
        """
        answer = await self.post(*frames)
        if answer.status != 200:
            raise Ended(answer.status, answer.frames)

    async def refusal(self, frame: object) -> dict[str, Any]:
        """The ``error`` frame that answers ``frame``, whether the connection ends or not."""
        answer = await self.post(frame)
        return next(one for one in answer.frames if one["type"] == "error")

    async def frame(self) -> Any:
        """The next frame of the downlink.

        Raises:
            Ended: there is none.
        """
        raise NotImplementedError

    async def data(self) -> list[Any]:
        """The messages of the next data frame."""
        while not isinstance(frame := await self.frame(), list):
            assert frame["type"] in ("ack", "ping"), frame
        return frame[2:]

    async def control(self, kind: str) -> dict[str, Any]:
        """The next control frame of that type."""
        while isinstance(frame := await self.frame(), list) or frame["type"] != kind:
            pass
        return dict(frame)

    async def ended(self) -> Ended:
        """Read until the connection is over."""
        frames: list[Any] = []
        try:
            while True:
                frames.append(await self.frame())
        except Ended as end:
            return Ended(end.code, [*frames, *end.frames])

    async def confirm(self) -> None:
        """Go on with this attach."""
        await self.post()


class _Socket(Hand):
    def __init__(self, hub: ASGIApp, opened: dict[str, Any], token: str, socket: Socket) -> None:
        super().__init__(hub, opened, token)
        self.socket = socket

    async def send(self, *frames: object) -> None:
        for frame in frames:
            self.socket.send(frame)

    async def refusal(self, frame: object) -> dict[str, Any]:
        self.socket.send(frame)
        return await self.control("error")

    async def frame(self) -> Any:
        message = await self.socket.connection.next(WITHIN)
        if message["type"] == "websocket.close":
            raise Ended(message["code"], [])
        return json.loads(message["text"]) if "text" in message else message["bytes"]

    async def confirm(self) -> None:
        self.socket.send({"type": "ack", "ack": 0})


class _Stream(Hand):
    def __init__(self, hub: ASGIApp, opened: dict[str, Any], token: str, stream: Stream) -> None:
        super().__init__(hub, opened, token)
        self.stream = stream

    async def frame(self) -> Any:
        try:
            return json.loads(await self.stream.wire(WITHIN))
        except EOFError:
            raise Ended(None, []) from None


class _Polls(Hand):
    def __init__(self, hub: ASGIApp, opened: dict[str, Any], token: str) -> None:
        super().__init__(hub, opened, token)
        self.number = 0
        self.received = 0
        self.waiting: list[Any] = []

    async def poll(self) -> Answer:
        """One more poll; its answer."""
        self.number += 1
        frame = {"type": "poll", **self._head, "poll": self.number, "ack": self.received}
        connection = request(self.hub, "/poll", lines(frame))
        try:
            return await whole(connection, WITHIN)
        finally:
            await connection.stop()

    async def frame(self) -> Any:
        while not self.waiting:
            answer = await self.poll()
            if answer.status != 200:
                raise Ended(answer.status, answer.frames)
            self.waiting = answer.frames
        frame = self.waiting.pop(0)
        if isinstance(frame, list):
            self.received = frame[0] + len(frame) - 3
        return frame


@asynccontextmanager
async def hand(
    hub: ASGIApp,
    transport: str,
    frame: dict[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
) -> AsyncIterator[Hand]:
    """Attach over ``transport``, by ``frame`` (a new session by default).

    Args:
        hub: the application.
        transport: its name.
        frame: the ``open``.
        headers: of the request.
        token: of the session, where it is resumed.

    Raises:
        Ended: it was refused.
    """
    frame = frame or opening()
    if transport == "websocket":
        async with socket(hub, "/websocket", headers) as ws:
            ws.send(frame)
            first = await ws.frame()
            if first["type"] != "opened":
                raise Ended(await ws.closed(), [first])
            yield _Socket(hub, first, token or first["session"], ws)
    elif transport == "sse":
        async with stream(hub, "/sse", frame, headers=headers) as events:
            if events.head.status != 200:
                answer = await _rest(events)
                raise Ended(answer.status, answer.frames)
            first = await events.frame()
            if first["type"] != "opened":
                raise Ended(None, [first])
            yield _Stream(hub, first, token or first["session"], events)
    else:
        answer = await ask(hub, "/poll", lines(frame), headers=headers)
        first, *rest = answer.frames
        if first["type"] != "opened":
            raise Ended(answer.status, answer.frames)
        polls = _Polls(hub, first, token or first["session"])
        polls.waiting = rest
        yield polls


async def _rest(events: Stream) -> Answer:
    answer = events.head
    more = True
    while more:
        message = await events.connection.next()
        answer.body += message.get("body", b"")
        more = message.get("more_body", False)
    return answer


async def knock(hub: ASGIApp, transport: str, frame: dict[str, Any] | None = None) -> Ended | None:
    """Attach, and leave at once: how it was refused, None where it was not."""
    try:
        async with hand(hub, transport, frame):
            return None
    except Ended as ended:
        return ended
