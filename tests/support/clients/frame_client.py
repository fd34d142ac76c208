"""`FrameClient`: a client that writes each frame by hand, the same over each transport.

It keeps no rules of the protocol, so that a test can break any of them. Its three classes are the
three transports; the bytes go through a `Carrier`: in process, or over TCP to a real server.

    async with frame_client(hub, "sse") as client:
        await client.send([1, 0, "hello"])
        assert await client.data() == ["hello"]

`Listener` reads a client in the background and keeps what it is told.
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
"""The client of `transport.testing.opening`."""

Frame = Any


def open_frame(**fields: object) -> dict[str, Any]:
    """Return an ``open`` of a client of its own that asks for a new session (OPN-1)."""
    ids = {"client": secrets.token_urlsafe(16), "nonce": secrets.token_urlsafe(16)}
    return {**opening(), **ids, **fields}


def encode(*frames: Frame) -> str:
    """Return the lines of a body, or one frame of a WebSocket."""
    return "\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames)


class Ended(Exception):
    """The connection is over.

    Attributes:
        code: the close code, or the HTTP status; None if a stream ended without a word.
        frames: the last ones.
    """

    def __init__(self, code: int | None, frames: list[Frame]) -> None:
        super().__init__(code, frames)
        self.code = code
        self.frames = frames

    @property
    def error(self) -> dict[str, Any]:
        """Its ``error`` frame."""
        return next(one for one in self.frames if one["type"] == "error")


class FrameClient(ABC):
    """One client of one session.

    Args:
        carrier: of its bytes.

    Attributes:
        transport: its name.
        segment: the last one of the path that opens it.
        opened: the answer to ``open``.
        token: of the session.
    """

    transport: ClassVar[str]
    segment: ClassVar[str]

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.opened: dict[str, Any] = {}
        self.token = ""

    async def open(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Attach, by this ``open``; a client may do it again.

        Returns:
            The answer. A resumed session is told its token once, by its first (OPN-6).

        Raises:
            Ended: it was refused.
        """
        self.opened = await self._open(frame)
        self.token = self.opened.get("session", frame.get("session", ""))
        return self.opened

    def head(self, kind: str = "send", **fields: object) -> dict[str, Any]:
        """Return the first frame of a POST: a ``send`` or a ``poll`` of this attach."""
        address = {key: self.opened[key] for key in ("client", "attach")}
        return {"type": kind, "session": self.token, **address, **fields}

    async def post(self, *frames: Frame) -> Answer:
        """POST ``send``, whatever the transport."""
        return await self.carrier.post("send", lines(self.head(), *frames))

    async def post_bytes(self, rest: bytes) -> Answer:
        """POST ``send`` with these lines after the first."""
        return await self.carrier.post("send", lines(self.head()) + rest)

    async def data(self) -> list[Any]:
        """Return the messages of the next data frame."""
        while not isinstance(frame := await self.frame(), list):
            assert frame["type"] in ("ack", "ping"), frame
        return frame[2:]

    async def control(self, kind: str) -> dict[str, Any]:
        """Return the next control frame of that type."""
        while isinstance(frame := await self.frame(), list) or frame["type"] != kind:
            pass
        return dict(frame)

    async def ended(self) -> Ended:
        """Read until the connection is over, and return how."""
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
        """Go on with this attach (ATT-2). A WebSocket does it by an ack of ``received``."""

    @abstractmethod
    async def send(self, *frames: Frame) -> None:
        """Send frames.

        Raises:
            Ended: they were refused.
        """

    @abstractmethod
    async def refusal(self, frame: Frame) -> dict[str, Any]:
        """Return the ``error`` frame that answers ``frame``, whether the connection ends or not."""

    @abstractmethod
    async def frame(self) -> Frame:
        """Return the next frame of the downlink.

        Raises:
            Ended: there is none.
        """


class WebSocketClient(FrameClient):
    """PROTOCOL.md section 7."""

    transport = "websocket"
    segment = "websocket"
    socket: Any
    """Of the carrier."""

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
    """PROTOCOL.md section 8."""

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
    """PROTOCOL.md section 9."""

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
    """PROTOCOL.md section 10.

    Attributes:
        polls: the number of the last poll.
        acknowledges: whether a poll tells the number of the last message that came.
        hold: seconds that a poll asks for, if any.
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
        """Send one more poll and return its answer."""
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
    """Attach in process over ``transport``, by ``frame`` (a new session by default).

    Args:
        app: the hub.
        transport: its name.
        frame: the ``open``.
        headers: of every request.

    Raises:
        Ended: it was refused.
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
    """Attach in process and leave at once. Return how it was refused, None if it was not."""
    try:
        async with frame_client(app, transport, frame):
            return None
    except Ended as ended:
        return ended
