"""`FrameClient`: a client that writes each frame itself, with the same interface on each transport.

It enforces no rules of the protocol, so that a test can break any of them. Its three classes are
the three transports. A `Carrier` carries the bytes: in process, or over TCP to a real server.

    async with frame_client(hub, "sse") as client:
        await client.send([1, 0, "hello"])
        assert await client.data() == ["hello"]

`Listener` reads a client in the background and keeps the frames that it receives.
"""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from starlette.types import ASGIApp

from tests.support.clients.carriers import CarriedSocket, Carrier, InProcess
from tests.support.clients.tcp_client import BINARY, TEXT, Answer, Closed
from transport.testing import lines, opening

TRANSPORTS = ("websocket", "sse", "longpoll")
CLIENT = "client-0123456789"
"""The client id of `transport.testing.opening`."""

Frame = Any


def open_frame(**fields: object) -> dict[str, Any]:
    """Return an ``open`` frame of a new client that asks for a new session (OPN-1)."""
    ids = {"client": secrets.token_urlsafe(16), "nonce": secrets.token_urlsafe(16)}
    return {**opening(), **ids, **fields}


def encode(*frames: Frame) -> str:
    """Return frames as lines of a body; a single frame is also a WebSocket frame."""
    return "\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames)


class Ended(Exception):
    """The connection has ended.

    Attributes:
        code: the close code or the HTTP status; None if a stream ended without an error.
        frames: the last frames.
    """

    def __init__(self, code: int | None, frames: list[Frame]) -> None:
        super().__init__(code, frames)
        self.code = code
        self.frames = frames

    @property
    def error(self) -> dict[str, Any]:
        """The ``error`` frame."""
        return next(one for one in self.frames if one["type"] == "error")


class FrameClient(ABC):
    """A client of one session.

    Args:
        carrier: the carrier of its bytes.

    Attributes:
        transport: the name of the transport.
        segment: the last segment of the path that opens it.
        opened: the answer to ``open``.
        token: the token of the session.
    """

    transport: ClassVar[str]
    segment: ClassVar[str]

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.opened: dict[str, Any] = {}
        self.token = ""

    async def open(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Attach with this ``open`` frame. A client may attach repeatedly.

        Returns:
            The answer. The token of a session is sent only in the answer that begins it (OPN-6).

        Raises:
            Ended: the ``open`` was refused.
        """
        self.opened = await self._open(frame)
        self.token = self.opened.get("session", frame.get("session", ""))
        return self.opened

    def head(self, kind: str = "send", **fields: object) -> dict[str, Any]:
        """Return the first frame of a POST: a ``send`` or a ``poll`` of this attachment."""
        address = {key: self.opened[key] for key in ("client", "attach")}
        return {"type": kind, "session": self.token, **address, **fields}

    async def post(self, *frames: Frame) -> Answer:
        """POST frames to ``send``, on any transport."""
        return await self.carrier.post("send", lines(self.head(), *frames))

    async def post_bytes(self, rest: bytes) -> Answer:
        """POST these lines to ``send``, after the ``send`` frame."""
        return await self.carrier.post("send", lines(self.head()) + rest)

    async def data(self) -> list[Any]:
        """Return the messages of the next data frame."""
        while not isinstance(frame := await self.frame(), list):
            assert frame["type"] in ("ack", "ping"), frame
        return frame[2:]

    async def control(self, kind: str) -> dict[str, Any]:
        """Return the next control frame of this type."""
        while isinstance(frame := await self.frame(), list) or frame["type"] != kind:
            pass
        return dict(frame)

    async def ended(self) -> Ended:
        """Read until the connection has ended, and return how it ended."""
        frames: list[Frame] = []
        try:
            while True:
                frames.append(await self.frame())
        except Ended as end:
            return Ended(end.code, [*frames, *end.frames])

    @abstractmethod
    async def _open(self, frame: dict[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    async def confirm(self, received: int = 0) -> None:
        """Confirm this attachment (ATT-2). A WebSocket confirms it with an ack of ``received``."""

    @abstractmethod
    async def send(self, *frames: Frame) -> None:
        """Send frames.

        Raises:
            Ended: the frames were refused.
        """

    @abstractmethod
    async def refusal(self, frame: Frame) -> dict[str, Any]:
        """Send a frame; return the ``error`` frame that answers it, even if the connection ends."""

    @abstractmethod
    async def frame(self) -> Frame:
        """Return the next frame of the downlink.

        Raises:
            Ended: the connection has ended.
        """


class WebSocketClient(FrameClient):
    """A client over WebSocket (PROTOCOL.md section 7)."""

    transport = "websocket"
    segment = "websocket"
    socket: Any
    """The WebSocket of the carrier."""

    async def _open(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.socket = await self.carrier.websocket(self.segment)
        await self.send(frame)
        opened: dict[str, Any] = await self.frame()
        if opened["type"] != "opened":
            end = await self.ended()
            assert not end.frames, end
            raise Ended(end.code, [opened])
        return opened

    async def confirm(self, received: int = 0) -> None:
        await self.send({"type": "ack", "ack": received})

    async def send(self, *frames: Frame) -> None:
        socket: CarriedSocket = self.socket
        for frame in frames:
            if isinstance(frame, bytes):
                await socket.put(frame, BINARY)
            else:
                await socket.put(encode(frame).encode(), TEXT)

    async def refusal(self, frame: Frame) -> dict[str, Any]:
        await self.send(frame)
        return await self.control("error")

    async def frame(self) -> Frame:
        frame = await self.socket.get()
        if isinstance(frame, Closed):
            raise Ended(frame.code, [])
        return frame


class HttpClient(FrameClient):
    """A client that sends with POSTs (PROTOCOL.md section 8)."""

    async def confirm(self, received: int = 0) -> None:
        answer = await self.post()
        assert answer.status == 200, answer

    async def send(self, *frames: Frame) -> None:
        answer = await self.post(*frames)
        if answer.status != 200:
            raise Ended(answer.status, answer.frames)

    async def refusal(self, frame: Frame) -> dict[str, Any]:
        answer = await self.post(frame)
        return next(one for one in answer.frames if one["type"] == "error")


class EventStreamClient(HttpClient):
    """A client over an event stream (PROTOCOL.md section 9)."""

    transport = "sse"
    segment = "sse"
    events: AsyncIterator[Frame]

    async def _open(self, frame: dict[str, Any]) -> dict[str, Any]:
        head, self.events = await self.carrier.stream(self.segment, lines(frame))
        if head.status != 200:
            raise Ended(head.status, head.frames)
        assert head.headers["content-encoding"] == "identity", head
        opened: dict[str, Any] = await self.frame()
        if opened["type"] != "opened":
            raise Ended(None, [opened])
        return opened

    async def frame(self) -> Frame:
        try:
            return await anext(self.events)
        except StopAsyncIteration:
            raise Ended(None, []) from None


class LongPollClient(HttpClient):
    """A client over long polling (PROTOCOL.md section 10).

    Attributes:
        polls: the number of the last poll.
        acknowledges: whether polls acknowledge the messages received.
        hold: the hold that polls ask for, in seconds, or None.
    """

    transport = "longpoll"
    segment = "poll"

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier)
        self.polls = 0
        self.acknowledges = True
        self.hold: float | None = None
        self._received = 0
        self._waiting: deque[Frame] = deque()

    async def _open(self, frame: dict[str, Any]) -> dict[str, Any]:
        answer = await self.carrier.post(self.segment, lines(frame))
        first, *rest = answer.frames
        if first["type"] != "opened":
            raise Ended(answer.status, answer.frames)
        self.polls = 0
        self._waiting = deque(rest)
        opened: dict[str, Any] = first
        return opened

    async def poll(self) -> Answer:
        """Send another poll and return its answer."""
        self.polls += 1
        fields = {} if self.hold is None else {"hold": self.hold}
        ack = self._received if self.acknowledges else 0
        poll = self.head("poll", poll=self.polls, ack=ack, **fields)
        return await self.carrier.post(self.segment, lines(poll))

    async def frame(self) -> Frame:
        while not self._waiting:
            answer = await self.poll()
            if answer.status != 200:
                raise Ended(answer.status, answer.frames)
            self._waiting.extend(answer.frames)
        frame = self._waiting.popleft()
        if isinstance(frame, list):
            self._received = frame[0] + len(frame) - 3
        return frame


CLIENTS: dict[str, type[FrameClient]] = {
    kind.transport: kind for kind in (WebSocketClient, EventStreamClient, LongPollClient)
}


@asynccontextmanager
async def frame_client(
    app: ASGIApp,
    transport: str,
    frame: dict[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[FrameClient]:
    """Attach in process over ``transport``, with ``frame`` (a new session by default).

    Args:
        app: the hub.
        transport: the name of the transport.
        frame: the ``open`` frame.
        headers: the headers of every request.

    Raises:
        Ended: the ``open`` was refused.
    """
    client = CLIENTS[transport](InProcess(app, headers=headers))
    try:
        await client.open(opening() if frame is None else frame)
        yield client
    finally:
        await client.carrier.close()


async def try_open(
    app: ASGIApp, transport: str, frame: dict[str, Any] | None = None
) -> Ended | None:
    """Attach in process and leave at once. Return the refusal, or None if it was accepted."""
    try:
        async with frame_client(app, transport, frame):
            return None
    except Ended as ended:
        return ended
