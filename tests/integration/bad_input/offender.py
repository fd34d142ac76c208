"""A session that is about to misbehave, over each transport, and its refusal."""

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
        status: the HTTP status.
        close: the close code of the WebSocket, or None if it was not closed.
    """

    frame: dict[str, Any]
    status: int | None = None
    close: int | None = None


class Offender:
    """A session that is open and confirmed, and has its first message, ``"kept"``, echoed.

    The echo is not acknowledged, so a client that resumes gets it again.

    Args:
        transport: the name of the transport.
        port: the port of the server.
        mount: the path of the channel.
        fields: further fields of its ``open``.

    Attributes:
        connection: its client.
        messages: the downlink messages, in order and without repetitions.
        controls: the control frames of the downlink.
        sent: the number of its last message.
        acknowledges: whether it acknowledges the messages received.
    """

    def __init__(self, transport: str, port: int, mount: str = "/chat", **fields: object) -> None:
        self.connection: Any = CLIENTS[transport](Tcp(port, mount))
        if isinstance(self.connection, LongPollClient):
            # Acknowledged messages are not resent, and `check_resume` expects all of them.
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
        """The WebSocket."""
        return self.connection.socket

    def head(self, kind: str = "send", **fields: object) -> dict[str, Any]:
        """Return a ``send`` or ``poll`` frame of this session."""
        head: dict[str, Any] = self.connection.head(kind, **fields)
        return head

    async def attach_with(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Open and confirm with this frame, and return the answer."""
        opened: dict[str, Any] = await self.connection.open(frame)
        await self.connection.confirm(frame.get("received", 0))
        return opened

    async def open(self) -> None:
        """Attach again, with the next attach number."""
        fields = dict(self.fields)
        if self.opened:
            fields |= {
                "session": self.token,
                "client": self.client,
                "attach": self.attach + 1,
                "received": len(self.messages),
                "first_retained": self.sent + 1,
            }
        await self.attach_with(open_frame(**fields))

    async def close(self) -> None:
        await self.connection.carrier.close()

    # Receiving

    async def receive_next(self) -> None:
        """Receive the next frame of the downlink."""
        self._receive(await self.connection.frame())

    def _receive(self, frame: Any) -> None:
        """Record a frame of the downlink, and check that no message is missing."""
        if isinstance(frame, bytes):
            frame = [int.from_bytes(frame[:8], "big"), 0, frame[16:]]
        if not isinstance(frame, list):
            self.controls.append(frame)
            return
        assert frame[0] <= len(self.messages) + 1, f"a message before {frame} is missing"
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

    # Valid frames

    async def exchange(self, message: Any, behind: int | None = None) -> None:
        """Exchange a message: send it, and check that its echo is the next message of the downlink.

        Args:
            message: the message, which must differ from the previous one.
            behind: the number of downlink messages before its echo, if others are still to come.
        """
        number = (len(self.messages) if behind is None else behind) + 1
        ack = len(self.messages) if self.acknowledges else 0
        await self.send_data([self.sent + 1, ack, message])
        self.sent += 1
        while len(self.messages) < number:
            await self.receive_next()
        assert self.messages[number - 1] == message

    async def check_resume(self) -> None:
        """Resume as a client that has forgotten the downlink, and check that all of it is resent.

        Then check that the session goes on: no refused input was accepted, and nothing was lost.
        """
        expected, self.messages = self.messages, []
        await self.open()
        assert (self.opened["verdict"], self.opened["received"]) == ("resumed", self.sent)
        await self.exchange("after", behind=len(expected))
        assert self.messages == [*expected, "after"]

    async def send_data(self, frame: Any) -> None:
        """Send a valid data frame."""
        if isinstance(self.connection, WebSocketClient):
            await self.connection.send(frame)
            return
        answer = await self.connection.post(frame)
        assert answer.status == 200, answer
        assert answer.frames[0]["attached"], answer
        assert answer.frames[0]["received"] == frame[0]

    async def send_odd(self, *frames: Any) -> None:
        """Send frames without a message number."""
        await self.connection.send(*frames)

    # Invalid frames

    async def request(self, segment: str, body: bytes) -> Answer:
        """Send a POST on the persistent connection for POSTs."""
        answer: Answer = await self.connection.carrier.post(segment, body)
        return answer

    async def offend(self, wire: bytes) -> Refusal:
        """Send a bad frame, and return its refusal."""
        if isinstance(self.connection, WebSocketClient):
            await self.socket.put(wire)
            return await self.ending()
        answer = await self.connection.post_bytes(wire + b"\n")
        assert answer.headers["content-type"] == "application/json", answer
        return Refusal(json.loads(answer.body), status=answer.status)

    async def offend_binary(self, wire: bytes) -> Refusal:
        """Send a bad binary frame, and return its refusal."""
        await self.socket.put(wire, BINARY)
        return await self.ending()

    async def send_and_collect(self, wire: bytes) -> list[Any]:
        """Send an odd but valid frame, and return the frames that it causes."""
        if not isinstance(self.connection, WebSocketClient):
            answer: Answer = await self.connection.post_bytes(wire)
            assert answer.status == 200, answer
            return answer.frames[1:]
        await self.socket.put(wire)
        marker = secrets.randbelow(2**40)
        await self.connection.send({"type": "ping", "id": marker})
        begin = len(self.controls)
        while {"type": "pong", "id": marker} not in self.controls:
            await self.receive_next()
        return [frame for frame in self.controls[begin:-1] if frame["type"] != "ack"]


@asynccontextmanager
async def offender(
    transport: str, port: int, mount: str = "/chat", **fields: object
) -> AsyncIterator[Offender]:
    """Open a session over ``transport``, with further fields of its ``open``."""
    session = Offender(transport, port, mount, **fields)
    try:
        await session.open()
        await session.exchange("kept")
        yield session
    finally:
        await session.close()
