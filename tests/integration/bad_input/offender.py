"""A session that is about to misbehave, over each transport, and how it is refused."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import (
    CLIENTS,
    Ended,
    LongPollClient,
    WebSocketClient,
    open_frame,
)
from tests.support.clients.tcp_client import BINARY, Answer


@dataclass
class Refusal:
    """The refusal of a bad input, on the connection that carried it.

    Attributes:
        frame: the last frame.
        status: of HTTP.
        close: the code with which a WebSocket was ended, None if it was not.
    """

    frame: dict[str, Any]
    status: int | None = None
    close: int | None = None


class Offender:
    """A session that is open and confirmed, and has its first message, ``"kept"``, echoed.

    The echo is not acknowledged: a client that resumes gets it again.

    Args:
        transport: its name.
        port: of the server.
        mount: the path of the channel.
        fields: further ones of its ``open``.

    Attributes:
        connection: its client.
        messages: of the downlink, in order and without repetitions.
        controls: the control frames of the downlink.
        sent: the number of its last message.
        acknowledges: whether it says what it has received.
    """

    def __init__(self, transport: str, port: int, mount: str = "/chat", **fields: object) -> None:
        self.connection: Any = CLIENTS[transport](Tcp(port, mount))
        if isinstance(self.connection, LongPollClient):
            # What is acknowledged is not written again, and `resumes` wants it all.
            self.connection.acknowledges = False
            self.connection.hold = 1
        self.fields = fields
        self.messages: list[Any] = []
        self.controls: list[Any] = []
        self.sent = 0
        self.acknowledges = False

    @property
    def opened(self) -> dict[str, Any]:
        opened: dict[str, Any] = self.connection.opened
        return opened

    @property
    def token(self) -> str:
        return str(self.connection.token)

    @property
    def client(self) -> str:
        return str(self.opened["client"])

    @property
    def attach(self) -> int:
        return int(self.opened["attach"])

    @property
    def socket(self) -> Any:
        """Its WebSocket."""
        return self.connection.socket

    def head(self, kind: str = "send", **fields: object) -> dict[str, Any]:
        """Return a ``send`` or ``poll`` frame of this session."""
        head: dict[str, Any] = self.connection.head(kind, **fields)
        return head

    async def attach_by(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Open and confirm, and return the answer."""
        opened: dict[str, Any] = await self.connection.open(frame)
        await self.connection.confirm(frame.get("received", 0))
        return opened

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
        await self.attach_by(open_frame(**fields))

    async def close(self) -> None:
        await self.connection.carrier.close()

    # What it receives

    async def pull(self) -> None:
        """Take the next frame of the downlink."""
        self._receive(await self.connection.frame())

    def _receive(self, frame: Any) -> None:
        """Note a frame of the downlink, in which no message may be missing."""
        if isinstance(frame, bytes):
            frame = [int.from_bytes(frame[:8], "big"), 0, frame[16:]]
        if not isinstance(frame, list):
            self.controls.append(frame)
            return
        assert frame[0] <= len(self.messages) + 1, f"lost in front of {frame}"
        self.messages += frame[2:][max(0, len(self.messages) + 1 - frame[0]) :]

    async def ending(self) -> Refusal:
        """Read the last frame of a WebSocket, and its close code."""
        last: Any = {}
        try:
            while True:
                last = await self.connection.frame()
                self._receive(last)
        except Ended as ended:
            return Refusal(last, close=ended.code)

    # Good frames

    async def exchange(self, message: Any, behind: int | None = None) -> None:
        """A message both ways: it is sent, and its echo arrives as the next of the downlink.

        Args:
            message: not like the one before.
            behind: how many messages of the downlink stand before it, if some are to come.
        """
        number = (len(self.messages) if behind is None else behind) + 1
        ack = len(self.messages) if self.acknowledges else 0
        await self.send_data([self.sent + 1, ack, message])
        self.sent += 1
        while len(self.messages) < number:
            await self.pull()
        assert self.messages[number - 1] == message

    async def resumes(self) -> None:
        """A client that has lost its memory of the downlink comes back to all of it.

        It then goes on: nothing was taken of what was refused, and nothing was lost.
        """
        expected, self.messages = self.messages, []
        await self.open()
        assert (self.opened["verdict"], self.opened["received"]) == ("resumed", self.sent)
        await self.exchange("after", behind=len(expected))
        assert self.messages == [*expected, "after"]

    async def send_data(self, frame: Any) -> None:
        """Send a good frame."""
        if isinstance(self.connection, WebSocketClient):
            await self.connection.send(frame)
            return
        answer = await self.connection.post(frame)
        assert answer.status == 200, answer
        assert answer.frames[0]["attached"], answer
        assert answer.frames[0]["received"] == frame[0]

    async def send_odd(self, *frames: Any) -> None:
        """Send frames that number nothing."""
        await self.connection.send(*frames)

    # Bad ones

    async def request(self, segment: str, body: bytes) -> Answer:
        """One POST, on the connection that is kept for them."""
        answer: Answer = await self.connection.carrier.post(segment, body)
        return answer

    async def offend(self, wire: bytes) -> Refusal:
        """Send a bad frame, and return how it was refused."""
        if isinstance(self.connection, WebSocketClient):
            await self.socket.put(wire)
            return await self.ending()
        answer = await self.connection.post_bytes(wire + b"\n")
        assert answer.headers["content-type"] == "application/json", answer
        return Refusal(json.loads(answer.body), status=answer.status)

    async def offend_binary(self, wire: bytes) -> Refusal:
        """The same of a binary frame."""
        await self.socket.put(wire, BINARY)
        return await self.ending()

    async def tell(self, wire: bytes) -> list[Any]:
        """Send a frame that is odd and not refused, and return what it caused."""
        if not isinstance(self.connection, WebSocketClient):
            answer: Answer = await self.connection.post_bytes(wire)
            assert answer.status == 200, answer
            return answer.frames[1:]
        await self.socket.put(wire)
        marker = secrets.randbelow(2**40)
        await self.connection.send({"type": "ping", "id": marker})
        begin = len(self.controls)
        while {"type": "pong", "id": marker} not in self.controls:
            await self.pull()
        return [frame for frame in self.controls[begin:-1] if frame["type"] != "ack"]


@asynccontextmanager
async def offender(
    transport: str, port: int, mount: str = "/chat", **fields: object
) -> AsyncIterator[Offender]:
    """A session over that transport, with further fields of its ``open``."""
    session = Offender(transport, port, mount, **fields)
    try:
        await session.open()
        await session.exchange("kept")
        yield session
    finally:
        await session.close()
