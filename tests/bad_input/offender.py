"""A session that is about to misbehave, over each carriage, and what it is told."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.kit.raw import encode, open_frame
from tests.kit.tcp_client import (
    BINARY,
    TEXT,
    Answer,
    Closed,
    TcpClient,
    TcpWebSocket,
    request_bytes,
)

CARRIAGES = ("websocket", "sse", "longpoll")

PATHS = {"websocket": "websocket", "sse": "sse", "longpoll": "poll"}
"""The last segment of the URL of each carriage's ``open``."""


@dataclass
class Told:
    """What a client was told by the connection over which its bad input went.

    Attributes:
        frame: the last frame.
        status: of HTTP.
        close: the code with which a WebSocket was ended, None where it was not.
    """

    frame: dict[str, Any]
    status: int | None = None
    close: int | None = None


class Offender(ABC):
    """A session that is open and confirmed, and has its first message, ``"kept"``, echoed.

    The echo is not acknowledged: whoever resumes gets it again.
    """

    carriage: str

    def __init__(self, port: int, mount: str = "/chat", **fields: object) -> None:
        self.port = port
        self.mount = mount
        self.fields = fields
        self.opened: dict[str, Any] = {}
        self.messages: list[Any] = []
        """Of the downlink, in order and without repetitions."""
        self.controls: list[Any] = []
        self.sent = 0
        self.acknowledges = False
        """Whether it says what it has received."""
        self._wires: list[TcpClient] = []

    @property
    def token(self) -> str:
        return str(self.opened["session"])

    @property
    def client(self) -> str:
        return str(self.opened["client"])

    @property
    def attach(self) -> int:
        return int(self.opened["attach"])

    def head(self, kind: str = "send", **fields: object) -> dict[str, Any]:
        """A ``send`` or ``poll`` frame of this session."""
        address = {"session": self.token, "client": self.client, "attach": self.attach}
        return {"type": kind, **address, **fields}

    def took(self, frame: Any) -> None:
        """Note a frame of the downlink, in which no message may be missing."""
        if isinstance(frame, bytes):
            frame = [int.from_bytes(frame[:8], "big"), 0, frame[16:]]
        if not isinstance(frame, list):
            self.controls.append(frame)
            return
        assert frame[0] <= len(self.messages) + 1, f"lost in front of {frame}"
        self.messages += frame[2:][max(0, len(self.messages) + 1 - frame[0]) :]

    async def exchange(self, message: Any, behind: int | None = None) -> None:
        """A message both ways: it is sent, and its echo arrives as the next of the downlink.

        Args:
            message: not like the one before.
            behind: how many messages of the downlink stand before it, where some are to come.
        """
        number = (len(self.messages) if behind is None else behind) + 1
        ack = len(self.messages) if self.acknowledges else 0
        await self.send_data([self.sent + 1, ack, message])
        self.sent += 1
        while len(self.messages) < number:
            await self.pull()
        assert self.messages[number - 1] == message

    def close(self) -> None:
        for wire in self._wires:
            wire.abort()

    async def open(self) -> None:
        """Attach anew, as its own next attach."""
        fields = dict(self.fields)
        if self.opened:
            fields |= {
                "session": self.token,
                "client": self.client,
                "attach": self.attach + 1,
                "received": len(self.messages),
                "first_retained": self.sent + 1,
            }
        token = self.opened.get("session")
        self.opened = await self.attach_by(open_frame(**fields))
        if token is not None:
            self.opened.setdefault("session", token)

    async def resumes(self) -> None:
        """A client that has lost its memory of the downlink comes back to all of it.

        It then goes on: nothing was taken of what was refused, and nothing was lost.
        """
        expected, self.messages = self.messages, []
        await self.open()
        assert (self.opened["verdict"], self.opened["received"]) == ("resumed", self.sent)
        await self.exchange("after", behind=len(expected))
        assert self.messages == [*expected, "after"]

    @abstractmethod
    async def attach_by(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Open and confirm; the answer."""

    @abstractmethod
    async def send_data(self, frame: Any) -> None:
        """Send a good frame."""

    @abstractmethod
    async def send_odd(self, *frames: Any) -> None:
        """Send frames that number nothing."""

    @abstractmethod
    async def pull(self) -> None:
        """Take the next of the downlink."""

    @abstractmethod
    async def offend(self, wire: bytes) -> Told:
        """Send a bad frame, and be told so."""

    @abstractmethod
    async def tell(self, wire: bytes) -> list[Any]:
        """Send a frame that is odd, and not refused; what it caused, in front of a ``pong``."""


class OverWebSocket(Offender):
    """PROTOCOL.md section 7."""

    carriage = "websocket"
    socket: TcpWebSocket

    async def attach_by(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.socket = await TcpWebSocket.to(self.port)
        self._wires.append(self.socket)
        assert (await self.socket.shake_hands(f"{self.mount}/websocket")).status == 101
        await self.socket.put(encode(frame).encode())
        opened: dict[str, Any] = await self.socket.get()
        assert opened["type"] == "opened", opened
        await self.socket.put(encode({"type": "ack", "ack": frame["received"]}).encode())
        return opened

    async def send_data(self, frame: Any) -> None:
        await self.socket.put(encode(frame).encode())

    async def send_odd(self, *frames: Any) -> None:
        for frame in frames:
            await self.socket.put(encode(frame).encode())

    async def pull(self) -> None:
        frame = await self.socket.get()
        assert not isinstance(frame, Closed), frame
        self.took(frame)

    async def offend(self, wire: bytes, opcode: int = TEXT, **options: Any) -> Told:
        await self.socket.put(wire, opcode, **options)
        return await self.ending()

    async def offend_binary(self, wire: bytes) -> Told:
        return await self.offend(wire, BINARY)

    async def ending(self) -> Told:
        """What the server says last, and the close code."""
        last: Any = {}
        while not isinstance(frame := await self.socket.get(), Closed):
            self.took(frame)
            last = frame
        return Told(last, close=frame.code)

    async def tell(self, wire: bytes) -> list[Any]:
        await self.socket.put(wire)
        marker = secrets.randbelow(2**40)
        await self.socket.put(encode({"type": "ping", "id": marker}).encode())
        begin = len(self.controls)
        while {"type": "pong", "id": marker} not in self.controls:
            await self.pull()
        return [frame for frame in self.controls[begin:-1] if frame["type"] != "ack"]


class OverHttp(Offender):
    """PROTOCOL.md section 8."""

    posts: TcpClient

    async def request(self, segment: str, body: bytes, **options: Any) -> Answer:
        """One POST, on the connection that is kept for them."""
        if self.posts.reader.at_eof():  # servers end what is idle
            self.posts = await self._wire()
        await self.posts.write(request_bytes("POST", f"{self.mount}/{segment}", body, **options))
        answer = await self.posts.answer()
        if answer.headers.get("connection") == "close":
            assert await self.posts.until_ended() == b""
            self.posts = await self._wire()
        return answer

    async def _wire(self) -> TcpClient:
        wire = await TcpClient.to(self.port)
        self._wires.append(wire)
        return wire

    async def _confirm(self) -> None:
        answer = await self.request("send", encode(self.head()).encode())
        assert answer.status == 200, answer

    async def post(self, wire: bytes) -> Answer:
        """POST ``send`` of these lines behind the first."""
        return await self.request("send", encode(self.head()).encode() + b"\n" + wire)

    async def send_data(self, frame: Any) -> None:
        answer = await self.post(encode(frame).encode())
        assert answer.status == 200, answer
        assert answer.frames[0]["attached"], answer
        assert answer.frames[0]["received"] == frame[0]

    async def send_odd(self, *frames: Any) -> None:
        answer = await self.post(encode(*frames).encode())
        assert answer.status == 200, answer

    async def offend(self, wire: bytes) -> Told:
        answer = await self.post(wire + b"\n")
        assert answer.headers["content-type"] == "application/json", answer
        return Told(json.loads(answer.body), status=answer.status)

    async def tell(self, wire: bytes) -> list[Any]:
        answer = await self.post(wire)
        assert answer.status == 200, answer
        return answer.frames[1:]


class OverEventStream(OverHttp):
    """PROTOCOL.md section 9."""

    carriage = "sse"
    events: AsyncIterator[Any]

    async def attach_by(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.posts = await self._wire()
        stream = await self._wire()
        body = encode(frame).encode()
        await stream.write(request_bytes("POST", f"{self.mount}/sse", body))
        head = await stream.head()
        assert (head.status, head.headers["content-encoding"]) == (200, "identity")
        self.events = stream.events()
        self.opened = {"session": frame.get("session"), **await anext(self.events)}
        await self._confirm()
        return self.opened

    async def pull(self) -> None:
        self.took(await anext(self.events))


class OverPoll(OverHttp):
    """PROTOCOL.md section 10."""

    carriage = "longpoll"
    polls: int = 0

    async def attach_by(self, frame: dict[str, Any]) -> dict[str, Any]:
        self.posts = await self._wire()
        self.polls = 0
        answer = await self.request("poll", encode(frame).encode())
        assert answer.status == 200, answer
        self.opened = {"session": frame.get("session"), **answer.frames[0]}
        assert self.opened["type"] == "opened", answer
        for waiting in answer.frames[1:]:
            self.took(waiting)
        await self._confirm()
        return self.opened

    async def pull(self) -> None:
        self.polls += 1
        # What is acknowledged is not written again, and `resumes` wants it all.
        poll = self.head("poll", poll=self.polls, ack=0, hold=1)
        answer = await self.request("poll", encode(poll).encode())
        assert answer.status == 200, answer
        for frame in answer.frames:
            self.took(frame)


OFFENDERS: dict[str, type[Offender]] = {
    kind.carriage: kind for kind in (OverWebSocket, OverEventStream, OverPoll)
}


@asynccontextmanager
async def offender(
    carriage: str, port: int, mount: str = "/chat", **fields: object
) -> AsyncIterator[Any]:
    """A session over that carriage, with further fields of its ``open``."""
    session = OFFENDERS[carriage](port, mount, **fields)
    try:
        await session.open()
        await session.exchange("kept")
        yield session
    finally:
        session.close()
