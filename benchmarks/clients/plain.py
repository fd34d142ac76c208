"""Clients of servers without a message protocol: a message is a text, a line or an event."""

from __future__ import annotations

import secrets

from benchmarks.generator import (
    RING,
    Client,
    Http,
    Messages,
    Mismatch,
    WebSocket,
    masked_frame,
    post_head,
)


class PlainWebSocket(Client):
    """A client of a plain WebSocket: a message is a text."""

    PATH = "/websocket"

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._frames = frames_of(messages)
        self.socket = WebSocket(self, self.PATH, self.take_text)

    async def open(self) -> None:
        await self.socket.connect()

    def _flush(self) -> None:
        count = self._pending
        if count:
            self._pending = 0
            start = self.first + self.sent
            self.sent += count
            self.socket.write(run_of(self._frames, start, count))

    def close(self) -> None:
        self.socket.close()


_FRAMES: dict[tuple[Messages, bytes], list[bytes]] = {}


def frames_of(messages: Messages, before: bytes = b"", after: bytes = b"") -> list[bytes]:
    """Return the frames of all messages; they are built once and cached."""
    key = (messages, before + b"\0" + after)
    frames = _FRAMES.get(key)
    if frames is None:
        frames = [masked_frame(before + text + after) for text in messages.texts]
        _FRAMES[key] = frames
    return frames


def run_of(items: list[bytes], first: int, count: int) -> bytes:
    """Return ``count`` items of a ring, joined."""
    start = first % RING
    if count == 1:
        return items[start]
    stop = start + count
    return b"".join(items[start:stop] if stop <= RING else items[start:] + items[: stop - RING])


class _PlainHttp(Client):
    """Messages are sent as the lines of a POST, with one POST at a time to keep their order."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.id = secrets.token_hex(8)
        self.up = Http(self, self._posted)
        self._head = post_head(port, f"/send?id={self.id}", "text/plain")

    def _posted(self, body: bytes) -> None:
        pass

    def rest(self) -> None:
        self.up.drop()

    def _flush(self) -> None:
        count = self._pending
        if count and not self.up.busy:
            self._pending = 0
            start = (self.first + self.sent) % RING
            self.sent += count
            texts = self.messages.texts
            stop = start + count
            lines = texts[start:stop] if stop <= RING else texts[start:] + texts[: stop - RING]
            self.up.post(self._head, b"\n".join(lines))


class PlainStream(_PlainHttp):
    """A client of a plain event stream: each event is a message."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._events, self._ended)
        self._rest = b""

    async def open(self) -> None:
        await self.up.connect()
        await self.down.connect()
        self.down.get(f"/stream?id={self.id}", "Accept: text/event-stream\r\n")
        # The stream sends no first event. The answer to the next request shows that it is open.
        self.up.get(f"/ready?id={self.id}")
        await self.up.until_answered()

    def _events(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        while True:
            stop = data.find(b"\n", at)
            if stop < 0:
                break
            if data.startswith(b"data: ", at):
                end = stop - 1 if data[stop - 1] == 13 else stop
                self.take_text(data[at + 6 : end])
            at = stop + 1
        self._rest = data[at:]

    def _ended(self) -> None:
        raise Mismatch("the stream has ended")

    def close(self) -> None:
        self.up.close()
        self.down.close()


class PlainPoll(_PlainHttp):
    """A client of a plain long poll: each line of an answer is a message."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._lines)

    async def open(self) -> None:
        await self.up.connect()
        await self.down.connect()
        self.down.get(f"/poll?id={self.id}")
        self.up.get(f"/ready?id={self.id}")
        await self.up.until_answered()

    def _lines(self, data: bytes) -> None:
        for text in data.split(b"\n"):
            if text:
                self.take_text(text)
        self.down.get(f"/poll?id={self.id}")

    def close(self) -> None:
        self.up.get(f"/leave?id={self.id}")
        self.up.close()
        self.down.close()
