"""Engine.IO 4, and Socket.IO 5 over it, each over WebSocket only or polling only."""

from __future__ import annotations

import json
from abc import abstractmethod

from benchmarks.clients.plain import frames_of, run_of
from benchmarks.generator import (
    RING,
    Arrival,
    Client,
    Http,
    Messages,
    Mismatch,
    WebSocket,
    masked_frame,
    post_head,
)

SEPARATOR = b"\x1e"


class _Engine(Client):
    """The packet format, and the beginning of a session."""

    PATH = "/engine.io/"
    BEFORE, AFTER = b"4", b""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._opened = Arrival()
        self._opening = True

    def take_packet(self, packet: bytes) -> None:
        """Handle a packet from the server."""
        if self._opening:
            self._opened(packet)
        elif packet.startswith(self.BEFORE):
            self.take_text(packet[len(self.BEFORE) : len(packet) - len(self.AFTER)])
        elif packet == b"2":
            self.write_packet(b"3")
        elif packet != b"6":
            raise Mismatch(f"a packet {packet[:80]!r}")

    @abstractmethod
    def write_packet(self, packet: bytes) -> None:
        """Write a packet that is not a message."""

    async def begin(self) -> None:
        """Complete the opening after the connection. Engine.IO needs nothing more."""
        self._opening = False


class EngineWebSocket(_Engine):
    """Engine.IO with ``transport=websocket``."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._frames = frames_of(messages, self.BEFORE, self.AFTER)
        self.socket = WebSocket(self, f"{self.PATH}?EIO=4&transport=websocket", self.take_packet)

    async def open(self) -> None:
        await self.socket.connect()
        await self._opened.wait()
        await self.begin()

    def write_packet(self, packet: bytes) -> None:
        self.socket.write(masked_frame(packet))

    def _flush(self) -> None:
        count = self._pending
        if count:
            self._pending = 0
            start = self.first + self.sent
            self.sent += count
            self.socket.write(run_of(self._frames, start, count))

    def close(self) -> None:
        self.socket.close()


class EnginePoll(_Engine):
    """Engine.IO with ``transport=polling``. Packets that are ready together share a body."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.up = Http(self, self._posted)
        self.down = Http(self, self._polled)
        self._path = f"{self.PATH}?EIO=4&transport=polling"
        self._controls: list[bytes] = []

    async def open(self) -> None:
        await self.up.connect()
        await self.down.connect()
        self.down.get(self._path)
        packet = await self._opened.wait()
        self._path += f"&sid={json.loads(packet[1:])['sid']}"
        self._head = post_head(self.port, self._path, "text/plain;charset=UTF-8")
        await self.begin()
        if not self.down.busy:
            self.down.get(self._path)

    def write_packet(self, packet: bytes) -> None:
        self._controls.append(packet)

    def _posted(self, body: bytes) -> None:
        if body.lower() != b"ok":
            raise Mismatch(f"a POST was answered by {body[:80]!r}")

    def _polled(self, body: bytes) -> None:
        for packet in body.split(SEPARATOR):
            self.take_packet(packet)
        if not self._opening:
            self.down.get(self._path)

    def _flush(self) -> None:
        if self.up.busy or self._opening:
            return
        packets, self._controls = self._controls, []
        count = self._pending
        if count:
            self._pending = 0
            start = (self.first + self.sent) % RING
            self.sent += count
            texts = self.messages.texts
            packets += [
                self.BEFORE + texts[number % RING] + self.AFTER
                for number in range(start, start + count)
            ]
        if packets:
            self.up.post(self._head, SEPARATOR.join(packets))

    def rest(self) -> None:
        self.up.drop()

    def close(self) -> None:
        self.up.post(self._head, b"1")
        self.up.close()
        self.down.close()


class SocketWebSocket(EngineWebSocket):
    """Socket.IO over WebSocket: it joins the default namespace, and a message is an event."""

    PATH = "/socket.io/"
    BEFORE, AFTER = b'42["message","', b'"]'

    async def begin(self) -> None:
        self.write_packet(b"40")
        joined = await self._opened.wait()
        if not joined.startswith(b"40"):
            raise Mismatch(f"not joined: {joined!r}")
        self._opening = False


class SocketPoll(EnginePoll):
    """Socket.IO over polling."""

    PATH = "/socket.io/"
    BEFORE, AFTER = b'42["message","', b'"]'

    async def begin(self) -> None:
        self.up.post(self._head, b"40")
        self.down.get(self._path)
        joined = await self._opened.wait()
        if not joined.startswith(b"40"):
            raise Mismatch(f"not joined: {joined!r}")
        self._opening = False
