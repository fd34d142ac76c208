"""This project's channel by PROTOCOL.md, as the browser client uses it.

Messages that are ready together share a frame. Acks are sent with data if there is any. Otherwise
they are sent alone: 0.5 s after the first message that they cover, or at once for a quarter of the
window, or if the server asks (MRK-6). One POST is in flight at a time (SND-1).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from abc import abstractmethod
from typing import Any

from benchmarks.generator import (
    Arrival,
    Client,
    DeflatedWebSocket,
    Http,
    Messages,
    Mismatch,
    WebSocket,
    post_head,
)

PATH = "/chat"
TYPE = "application/x-ndjson"

ACK_DELAY = 0.5
"""Seconds after the first message that it covers, in which an ack leaves alone (MRK-6)."""
QUARTER = 250
"""A quarter of the default window, in messages (MRK-6)."""


class Channel(Client):
    """A session of the channel."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.client = secrets.token_urlsafe(16)
        self.attach = 1
        self.token: str | None = None
        self.epoch: str | None = None
        self.mark = 0
        """The highest downlink number received."""
        self.acked = 0
        """The last ack that was written."""
        self.settled = 0
        """The highest uplink number that the server has handled."""
        self._opened = Arrival()
        self._opening = True
        self.sent_at_open = 0
        """The highest downlink number at the time of the last ``opened`` (OPN-6)."""
        self._ack_timer: asyncio.TimerHandle | None = None

    def open_frame(self) -> bytes:
        """Return the ``open`` frame for a new session or a resume."""
        frame: dict[str, Any] = {
            "type": "open",
            "versions": [1],
            "client": self.client,
            "nonce": secrets.token_urlsafe(16),
            "attach": self.attach,
            "received": self.mark,
            "first_retained": self.settled + 1,
        }
        if self.token is not None:
            frame |= {"session": self.token, "epoch": self.epoch}
        return json.dumps(frame, separators=(",", ":")).encode()

    def is_opened(self, opened: bytes) -> None:
        """Handle ``opened``."""
        frame = json.loads(opened)
        if frame.get("type") != "opened":
            raise Mismatch(f"no opened: {opened!r}")
        self._opening = False
        self.token = self.token or frame["session"]
        self.epoch = frame["epoch"]
        self.sent_at_open = frame["sent"]
        self._opened(opened)

    def take_frame(self, frame: bytes) -> None:
        """Handle a frame from the server."""
        if frame[0] != 0x5B:
            self._control(frame)
            return
        comma = frame.index(b",", 1)
        other = frame.index(b",", comma + 1)
        number = int(frame[1:comma])
        if number != self.mark + 1:
            if number > self.mark + 1 and self.may_overtake:
                return
            raise Mismatch(f"number {number} comes after {self.mark}")
        self.settled = int(frame[comma + 1 : other])
        self.mark += self.take_json(frame[other + 1 : -1])

    may_overtake = False
    """Whether frames may come before those that they follow, and are then ignored (POL-5)."""

    def _control(self, frame: bytes) -> None:
        if self._opening:
            self.is_opened(frame)
        elif frame.startswith(b'{"type":"ack"'):
            ack = json.loads(frame)
            self.settled = max(self.settled, ack["ack"])
            if ack.get("prompt"):
                self._ack()
        elif frame.startswith(b'{"type":"ping"'):
            self.answer_ping(frame.replace(b"ping", b"pong", 1))
        else:
            raise Mismatch(f"unexpected: {frame!r}")

    def _see_to_ack(self) -> None:
        """Acknowledge at once if it is worth it, else later."""
        if self.mark - self.acked >= QUARTER:
            self._ack()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_DELAY, self._ack)

    def _forget_ack(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None

    def abandon(self) -> None:
        super().abandon()
        self._forget_ack()

    @abstractmethod
    def _ack(self) -> None:
        """Acknowledge now, unless that is done."""

    def cut(self) -> None:
        """Lose the connections."""
        self.abandon()
        self.connections = []
        self._opening = True

    @abstractmethod
    async def resume(self) -> None:
        """Attach again, over new connections."""

    @abstractmethod
    def answer_ping(self, pong: bytes) -> None:
        """Send the answer to a ping at once."""

    def data_frame(self) -> bytes:
        """Return one frame with all messages that are ready."""
        count = self._pending
        self._pending = 0
        number = self.sent + 1
        body = self.messages.json_slice(self.first + self.sent, count)
        self.sent += count
        self.acked = self.mark
        self._forget_ack()
        return b"[%d,%d,%b]" % (number, self.mark, body)


class ChannelWebSocket(Channel):
    """The channel over WebSocket (PROTOCOL.md section 7)."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.socket = self._new_socket()

    def _new_socket(self) -> WebSocket:
        return WebSocket(self, PATH + "/websocket", self.take_frame)

    async def open(self) -> None:
        await self.socket.connect()
        self.socket.send(self.open_frame())
        await self._opened.wait()

    async def resume(self) -> None:
        self.attach += 1
        self.socket = self._new_socket()
        await self.open()

    def is_opened(self, opened: bytes) -> None:
        super().is_opened(opened)
        self.socket.send(b'{"type":"ack","ack":%d}' % self.mark)
        self.acked = self.mark

    def answer_ping(self, pong: bytes) -> None:
        self.socket.send(pong)

    def _flush(self) -> None:
        if self._opening:
            return
        if self._pending:
            self.socket.send(self.data_frame())
        elif self.acked < self.mark:
            self._see_to_ack()

    def _ack(self) -> None:
        self._forget_ack()
        if self.acked < self.mark:
            self.acked = self.mark
            self.socket.send(b'{"type":"ack","ack":%d}' % self.mark)

    def close(self) -> None:
        self._forget_ack()
        self.socket.send(close_frame(self))
        self.socket.close()


def close_frame(client: Channel) -> bytes:
    """Return the client's ``close`` frame (CLS-1)."""
    return b'{"type":"close","code":1000,"reason":"","by":"app","last":%d,"ack":%d}' % (
        client.sent,
        client.mark,
    )


class CompressedWebSocket(ChannelWebSocket):
    """The same with compression, as browsers offer it."""

    def _new_socket(self) -> WebSocket:
        return DeflatedWebSocket(self, PATH + "/websocket", self.take_frame)


class _ChannelHttp(Channel):
    """The POST side of a channel over HTTP (PROTOCOL.md section 8)."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self._send_head = post_head(port, PATH + "/send", TYPE)
        self.up = Http(self, self._posted)
        self._address = b""
        self._controls: list[bytes] = []
        self._ack_due = False
        self._confirmed = False

    def is_opened(self, opened: bytes) -> None:
        super().is_opened(opened)
        assert self.token is not None
        self._address = b'"session":"%b","client":"%b","attach":%d,"epoch":"%b"' % (
            self.token.encode(),
            self.client.encode(),
            self.attach,
            (self.epoch or "").encode(),
        )

    def answer_ping(self, pong: bytes) -> None:
        self._controls.append(pong)

    def _posted(self, body: bytes) -> None:
        for line in body.split(b"\n"):
            if line:
                self.take_frame(line)

    def _flush(self) -> None:
        if self._opening or self.up.busy:
            return
        lines = self._controls
        if self._pending:
            lines.append(self.data_frame())
        is_ack_due, self._ack_due = self._ack_due and self.acked < self.mark, False
        if lines or is_ack_due or not self._confirmed:
            self._confirmed = True
            self._controls = []
            self.up.post(self._send_head, b"\n".join(self._with_mark(lines, is_ack_due)))
        elif self.acked < self.mark:
            self._see_to_ack()

    def _with_mark(self, lines: list[bytes], is_ack_due: bool) -> list[bytes]:
        """Return the lines of a POST, with an ``ack`` if one is due."""
        if is_ack_due:
            self.acked = self.mark
            lines.append(b'{"type":"ack","ack":%d}' % self.mark)
        return [b'{"type":"send",%b}' % self._address, *lines]

    def _ack(self) -> None:
        self._forget_ack()
        if self.acked < self.mark:
            self._ack_due = True
            self._flush()

    def rest(self) -> None:
        self.up.drop()

    async def confirm(self) -> None:
        """Confirm the attach with a first POST (ATT-3)."""
        self._flush()
        await self.up.until_answered()

    down: Http

    def close(self) -> None:
        self._forget_ack()
        # The only POST that may be sent while another is in flight (SND-1).
        self.up.post(
            self._send_head, b'{"type":"send",%b}\n%b' % (self._address, close_frame(self))
        )
        self.up.close()
        self.down.close()


class ChannelStream(_ChannelHttp):
    """The channel over SSE and POST (PROTOCOL.md section 9)."""

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._events, self._ended)
        self._rest = b""

    async def open(self) -> None:
        await self.down.connect()
        self.down.post(
            post_head(self.port, PATH + "/sse", TYPE + "\r\nAccept: text/event-stream"),
            self.open_frame(),
        )
        await self._opened.wait()
        # A message in the same chunk as `opened` may already have confirmed the attach.
        await self.confirm()

    async def resume(self) -> None:
        self.attach += 1
        self._confirmed = False
        self._rest = b""
        self.up = Http(self, self._posted)
        self.down = Http(self, self._events, self._ended)
        await self.open()

    def _events(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        while True:
            stop = data.find(b"\n\n", at)
            if stop < 0:
                break
            self.take_frame(data[at + 6 : stop])
            at = stop + 2
        self._rest = data[at:]

    def _ended(self) -> None:
        raise Mismatch("the stream has ended")


class ChannelPoll(_ChannelHttp):
    """The channel over long polling (PROTOCOL.md section 10).

    Each POST names the mark, so that its answer brings what a parked poll would (POL-5).
    """

    may_overtake = True

    def __init__(self, port: int, messages: Messages, first: int = 0) -> None:
        super().__init__(port, messages, first)
        self.down = Http(self, self._answered)
        self._poll_head = post_head(port, PATH + "/poll", TYPE)
        self._poll = 0

    async def open(self) -> None:
        await self.down.connect()
        self.down.post(self._poll_head, self.open_frame())
        await self._opened.wait()

    async def resume(self) -> None:
        self.attach += 1
        self._poll = 0
        self.up = Http(self, self._posted)
        self.down = Http(self, self._answered)
        await self.open()

    def _with_mark(self, lines: list[bytes], is_ack_due: bool) -> list[bytes]:
        self.acked = self.mark
        return [b'{"type":"send",%b,"ack":%d}' % (self._address, self.mark), *lines]

    def _answered(self, body: bytes) -> None:
        for line in body.split(b"\n"):
            if line:
                self.take_frame(line)
        self._poll += 1
        self._confirmed = True
        self.acked = self.mark
        self.down.post(
            self._poll_head,
            b'{"type":"poll",%b,"poll":%d,"ack":%d}' % (self._address, self._poll, self.mark),
        )


class Relayed(Channel):
    """Opens its session at one process, and continues over another one.

    Attributes:
        home: port of the process that has the session; ``port`` is that of the other one.
    """

    home = 0

    async def open(self) -> None:
        if self.token is not None:  # `resume` calls it again
            await super().open()  # type: ignore[safe-super]
            return
        edge, self.port = self.port, self.home
        await super().open()  # type: ignore[safe-super]
        self.cut()
        self.port = edge
        await self.resume()


class RelayedWebSocket(Relayed, ChannelWebSocket):
    """Over WebSocket."""


class RelayedStream(Relayed, ChannelStream):
    """Over SSE and POST."""


class RelayedPoll(Relayed, ChannelPoll):
    """Over long polling."""
