"""SockJS over WebSocket, and over ``eventsource`` and ``xhr`` with ``xhr_send``."""

from __future__ import annotations

import secrets
from abc import abstractmethod

from benchmarks.clients.plain import frames_of, run_of
from benchmarks.generator import Arrival, Client, Http, Messages, Mismatch, WebSocket, post_head


class _SockJs(Client):
    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._path = f"/chat/000/{secrets.token_hex(8)}"
        self._opened = Arrival()

    def take_frame(self, frame: bytes) -> None:
        """Handle a frame from the server."""
        if frame.startswith(b"a["):
            self.take_json(frame[2:-1])
        elif frame == b"o":
            self._opened(frame)
        elif frame != b"h":
            raise Mismatch(f"a frame {frame[:80]!r}")


class SockJsWebSocket(_SockJs):
    """SockJS over WebSocket, with one frame per message."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._frames = frames_of(messages, b'["', b'"]')
        self.socket = WebSocket(self, self._path + "/websocket", self.take_frame)

    async def open(self) -> None:
        await self.socket.connect()
        await self._opened.wait()

    def _flush(self) -> None:
        count = self._pending
        if count:
            self._pending = 0
            start = self.first + self.sent
            self.sent += count
            self.socket.write(run_of(self._frames, start, count))

    def close(self) -> None:
        self.socket.close()


class _SockJsHttp(_SockJs):
    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.up = Http(self, self._posted)
        self._head = post_head(port, self._path + "/xhr_send", "text/plain")

    down: Http

    def _posted(self, body: bytes) -> None:
        pass

    def _flush(self) -> None:
        count = self._pending
        if count and not self.up.busy:
            self._pending = 0
            start = self.first + self.sent
            self.sent += count
            self.up.post(self._head, b"[%b]" % self.messages.json_slice(start, count))

    async def open(self) -> None:
        await self.up.connect()
        await self.down.connect()
        self.listen()
        await self._opened.wait()

    @abstractmethod
    def listen(self) -> None:
        """Request the downlink."""

    def rest(self) -> None:
        self.up.drop()

    def close(self) -> None:
        self.up.close()
        self.down.close()


class SockJsStream(_SockJsHttp):
    """SockJS over ``eventsource``. The server ends a stream after 128 KiB; another follows."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._events, self.listen)
        self._rest = b""

    def listen(self) -> None:
        self._rest = b""
        self.down.get(self._path + "/eventsource", "Accept: text/event-stream\r\n")

    def _events(self, data: bytes) -> None:
        data = self._rest + data
        *lines, self._rest = data.split(b"\r\n")
        for line in lines:
            if line:
                self.take_frame(line.removeprefix(b"data: "))


class SockJsPoll(_SockJsHttp):
    """SockJS over ``xhr``: each poll is answered with one frame."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._polled)
        self._poll_head = post_head(port, self._path + "/xhr", "text/plain")

    def listen(self) -> None:
        self.down.post(self._poll_head, b"")

    def _polled(self, body: bytes) -> None:
        for frame in body.split(b"\n"):
            if frame:
                self.take_frame(frame)
        self.listen()
