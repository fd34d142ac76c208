"""`InnerConnection`: the events that an inner WebSocket application receives and sends.

For the application it is one WebSocket connection, which lasts as long as the session: cuts and
changes of transport do not show. It is disconnected when its client closes, when the session ends,
and when the server stops.

A client that has asked for the application by ``target`` is told by downlink message 1 whether it
accepts (PROTOCOL.md TGT-1). Any other client has an open channel from the start; to it a denial is
a close.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import Enum

from starlette.types import Message

from transport import codes
from transport.codes import MAX_CLOSE_REASON
from transport.errors import ChannelClosed, Stalled
from transport.protocol.frames import Json
from transport.server.channel import Channel

DENIED = 1008
"""The close code of a denial (TGT-1)."""

ABNORMAL = 1006
"""The code of a disconnect without a close: after a denial, or as the session has expired or was
reset."""

REPLY_TIMEOUT = 1.0
"""Seconds in which an application may reply to what its client sent before it closed, counted anew
from each message that it receives. An application that does not receive learns by then, from
`send`, that its client is gone."""

_REPLACED_CODES = (1002, 1003, 1007, 1009, 1010)
"""Codes of an application for which a session has no close code (CLS-9)."""

Warn = Callable[[str, str], None]
"""Called with the name of what cannot be carried, and the text of a warning."""


class ReceiveState(Enum):
    """What `receive` returns next."""

    CONNECT = "connect"
    MESSAGES = "messages"
    DISCONNECTED = "disconnected"


class SendState(Enum):
    """What the application has sent."""

    CONNECTING = "connecting"
    ACCEPTED = "accepted"
    DENYING = "being denied"
    DENIED = "denied"
    CLOSED = "closed"


# Looking up a member takes as long as a small call in Python 3.11, and every message needs these.
_MESSAGES = ReceiveState.MESSAGES
_ACCEPTED = SendState.ACCEPTED


class Disconnected(ConnectionResetError):
    """The application has sent to a client that is gone."""


class InnerConnection:
    """One connection of an inner application.

    Args:
        channel: of the session.
        subprotocols: what the ``target`` of the client's ``open`` offers; None without ``target``.
        warn: reports what cannot be carried.
    """

    __slots__ = (
        "_channel",
        "_disconnect",
        "_driver",
        "_receiving",
        "_replying_since",
        "_sending",
        "_status",
        "_subprotocols",
        "_warn",
    )

    def __init__(self, channel: Channel, subprotocols: Sequence[str] | None, warn: Warn) -> None:
        self._channel = channel
        self._driver = channel._driver
        self._subprotocols = subprotocols
        self._warn = warn
        self._receiving = ReceiveState.CONNECT
        self._sending = SendState.CONNECTING
        self._status = 0
        self._disconnect: ChannelClosed | None = None
        self._replying_since: float | None = None

    # Receiving

    async def receive(self) -> Message:
        """Return the next event. The message before it now counts as handled.

        Raises:
            RuntimeError: the disconnect was returned before.
        """
        if self._receiving is not _MESSAGES:
            if self._receiving is ReceiveState.DISCONNECTED:
                raise RuntimeError("receive() was called after it had returned a disconnect")
            self._receiving = _MESSAGES
            return {"type": "websocket.connect"}
        if (
            self._sending is not _ACCEPTED and self._is_undecided
        ):  # until then an application expects nothing but a disconnect
            await self._driver.presence.until(lambda: not self._is_undecided or self.is_closed)
            if self._is_undecided:
                return self._disconnected(self._driver.session.closed_error())
        self._replying_since = None
        try:
            message = await self._channel.receive()
        except ChannelClosed as error:
            return self._disconnected(error)
        if type(message) is str:
            return {"type": "websocket.receive", "text": message}
        return _event(message)

    def _disconnected(self, error: ChannelClosed) -> Message:
        self._receiving = ReceiveState.DISCONNECTED
        self._disconnect = error
        if self._sending is SendState.DENIED:
            return {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
        ending = self._driver.session.ending
        is_reset = ending is not None and ending.reset is not None
        return {
            "type": "websocket.disconnect",
            "code": ABNORMAL if is_reset else error.code,
            "reason": str(error.reason),  # that of a reset is an enum's
        }

    # Sending

    async def send(self, event: Message) -> None:
        """Take an event of the application; wait while the send window is full.

        Raises:
            OSError: the client is gone.
            RuntimeError: the event does not fit what was sent before.
            TypeError: the text is no str, or the bytes are not bytes.
            ValueError: the session cannot carry the message, the close code or the reason.
        """
        if self._sending is _ACCEPTED and event["type"] == "websocket.send":
            await self._send(_message(event))
            return
        match self._sending, event["type"]:
            case SendState.CONNECTING, "websocket.accept":
                await self._accept(event)
            case SendState.CONNECTING, "websocket.close":
                await self._deny(403)
            case SendState.CONNECTING, "websocket.http.response.start":
                self._begin_denial(event["status"])
            case SendState.DENYING, "websocket.http.response.body":
                if event.get("body"):
                    self._warn("denial body", "the page is told the status of a denial only")
                if not event.get("more_body", False):
                    await self._deny(self._status)
            case SendState.ACCEPTED, "websocket.close":
                await self._close(event)
            case state, kind:
                raise RuntimeError(
                    f"the application sent {kind!r}, which does not fit: its connection is "
                    f"{state.value}"
                )

    async def _accept(self, event: Message) -> None:
        if event.get("headers"):
            self._warn(
                "accept headers",
                "the headers of an accept do not reach the page, as the channel was open before: "
                "set cookies in an HTTP response",
            )
        if self._subprotocols is not None:
            chosen = event.get("subprotocol")
            if chosen is not None and chosen not in self._subprotocols:
                self._warn(
                    "subprotocol",
                    "the application accepts with a subprotocol that its client did not offer, so "
                    "none is used",
                )
                chosen = None
            await self._send({"accept": chosen})
        elif self._driver.is_over:
            raise self._gone()
        self._sending = SendState.ACCEPTED
        self._driver.accepted = True
        self._driver.presence.changed()

    def _begin_denial(self, status: int) -> None:
        if not 100 <= status < 600:
            raise RuntimeError(f"{status} is no HTTP status")
        self._status = int(status)
        self._sending = SendState.DENYING

    async def _deny(self, status: int) -> None:
        self._sending = SendState.DENIED
        if self._driver.is_over:
            return
        if self._subprotocols is not None:
            await self._send({"deny": status})
        await self._channel.close(DENIED, f"denied with HTTP status {status}")

    async def _send(self, message: Json) -> None:
        """Send a message. A client that is connected but acknowledges nothing is waited for."""
        session = self._driver.session
        while True:
            if session.peer_close is not None:
                self._check_may_reply()
            try:
                await self._channel.send(message)
            except Stalled:
                continue  # as on a WebSocket: its session ends once it is silent
            except ChannelClosed:
                raise self._gone() from None
            return

    def _check_may_reply(self) -> None:
        """Check that the application may still send, as its client has closed.

        Raises:
            Disconnected: it knows, or it has been sending for too long without receiving.
        """
        if self._receiving is ReceiveState.DISCONNECTED:
            raise self._gone()
        now = self._driver.now()
        if self._replying_since is None:
            self._replying_since = now
        elif now - self._replying_since >= REPLY_TIMEOUT:
            raise self._gone()

    def _gone(self) -> Disconnected:
        return Disconnected(f"the WebSocket of channel {self._channel.id} is closed")

    async def _close(self, event: Message) -> None:
        code, reason = event.get("code") or 1000, event.get("reason") or ""
        if code in _REPLACED_CODES:
            self._warn("close code", f"a close with {code} reaches the page as 1008, {code}")
            code, reason = DENIED, _shortened(f"{code}: {reason}" if reason else f"{code}")
        codes.check_close(code, reason)
        self._sending = SendState.CLOSED
        if self._disconnect is None:
            await self._channel.close(code, reason)

    # Ends

    async def finish(self) -> None:
        """End the connection, as its application has returned.

        Raises:
            RuntimeError: it has neither accepted nor denied a connection that its client still has.
        """
        if self.is_closed:
            return
        if self._is_undecided:
            await self.fail()
            raise RuntimeError("the application returned without accepting or denying")
        await self._channel.close(
            codes.INTERNAL.close_code, "the application returned without a close"
        )

    async def fail(self) -> None:
        """End the connection, as its application has raised an exception.

        What the application does after a disconnect does not alter the close of its client.
        """
        if self._is_undecided:
            if self._subprotocols is not None:
                await self._deny(500)
        elif self._disconnect is not None:
            await self._channel.close(self._disconnect.code, self._disconnect.reason)

    @property
    def _is_undecided(self) -> bool:
        """Whether the application has neither accepted nor denied."""
        return self._sending in (SendState.CONNECTING, SendState.DENYING)

    @property
    def is_closed(self) -> bool:
        """Whether the client has closed, or the session is closing or over."""
        return self._driver.is_over or self._driver.session.peer_close is not None


def _event(message: Json) -> Message:
    """Return a message that is no str as an event: bytes, and everything else as JSON text."""
    if isinstance(message, bytes):
        return {"type": "websocket.receive", "bytes": message}
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return {"type": "websocket.receive", "text": text}


def _message(event: Message) -> Json:
    """Return the message of a ``websocket.send``: its bytes if it has both, as servers do.

    Raises:
        TypeError: the text is no str, or the bytes are not bytes.
        ValueError: the event has neither.
    """
    # One of the two keys may be there with None.
    if (data := event.get("bytes")) is not None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"the bytes of a websocket.send are a {type(data).__name__}")
        return bytes(data)
    text = event.get("text")
    if isinstance(text, str):
        return text
    if text is None:
        raise ValueError("a websocket.send needs text or bytes")
    raise TypeError(f"the text of a websocket.send is a {type(text).__name__}")


def _shortened(reason: str) -> str:
    return reason.encode()[:MAX_CLOSE_REASON].decode(errors="ignore")
