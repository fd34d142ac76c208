"""A server of the pure core alone, driven by the steps of a vector (`tests/vectors/README.md`).

What a process adds is here as small as can be: connections by name, sessions by token and nonce.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, assert_never

from transport import codes
from transport.codes import Code
from transport.errors import ChannelClosed, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control, encode_message
from transport.protocol.frames import (
    Close,
    EncodedFrame,
    Open,
    Poll,
    Reset,
    ResetReason,
    Send,
    TransportKind,
    error_frame,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import (
    Attach,
    Begin,
    Create,
    Found,
    Refuse,
    Replace,
    SendClose,
    attach,
    begin,
    check_version,
    resume,
)
from transport.protocol.server.session import EMPTY, ServerSession
from transport.protocol.server.uplink import Post, find_poll, find_session, split_header
from transport.stores.records import Record, make_token, split_token

Step = dict[str, Any]

TRANSPORTS = {
    "websocket": TransportKind.WEBSOCKET,
    "sse": TransportKind.SSE,
    "poll": TransportKind.LONGPOLL,
}


def to_wire(frame: Any, *, binary: bool = False) -> EncodedFrame:
    """A frame of a vector as it stands on the wire."""
    if isinstance(frame, dict) and "text" in frame:
        return str(frame["text"])
    if binary and isinstance(frame, dict) and frame.get("type") == "bytes":
        head = frame["number"].to_bytes(8, "big") + frame["ack"].to_bytes(8, "big")
        return bytes(head + base64.b64decode(frame["data"]))
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def from_wire(wire: EncodedFrame) -> Any:
    """What stands on the wire, as a vector writes it."""
    if isinstance(wire, str):
        return json.loads(wire)
    return {
        "type": "bytes",
        "number": int.from_bytes(wire[:8], "big"),
        "ack": int.from_bytes(wire[8:16], "big"),
        "data": base64.b64encode(wire[16:]).decode(),
    }


def to_message(value: Any) -> Any:
    """A message of a vector: bytes are written ``{"$bytes": base64}``."""
    if isinstance(value, dict) and "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return value


def from_message(message: Any) -> Any:
    """The reverse of `to_message`."""
    if isinstance(message, bytes):
        return {"$bytes": base64.b64encode(message).decode()}
    return message


@dataclass
class Connection:
    """One connection by its name: a WebSocket, a stream, or one poll."""

    transport: TransportKind
    subject: str
    attachment: Attachment | None = None
    session: ServerSession | None = None
    answer_by: float = 0.0
    """When a poll is answered at the latest."""
    out: list[EncodedFrame] = field(default_factory=list)
    """What is written where there is no session."""
    code: Code | None = None
    """Why it ended where there is no session."""
    outdated: bool = False
    """Whether it is a poll that a newer one has ended (POL-2)."""


@dataclass
class Bench:
    """Sessions and connections; `run` does one step."""

    limits: Limits
    now: float = 0.0
    session: ServerSession | None = None
    """That of the vector: the first opened, or the one that took its place."""
    connections: dict[str, Connection] = field(default_factory=dict)
    sessions: dict[str, tuple[Record, ServerSession]] = field(default_factory=dict)
    nonces: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    tokens: int = 0
    opened: int = 0
    """How many sessions there have been."""
    restarts: int = 0

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.limits)

    def run(self, step: Step, now: float) -> Step:
        """Do one step; all that comes of it, in the form of ``expect``."""
        self.now = now
        result: Step = {}
        for name, do in self._actions.items():
            if name in step:
                result = do(self, step) or {}
                break
        else:
            raise ValueError(f"a step does none of {', '.join(self._actions)}")
        for _, session in self.sessions.values():
            session.tick(self.now)
        self._flush(result)
        return result

    def restart(self) -> None:
        """The process begins anew: what it knew is gone (EPO-1)."""
        self.restarts += 1
        self.connections.clear()
        self.sessions.clear()
        self.nonces.clear()

    @property
    def epoch(self) -> str:
        """Of the store's life."""
        return f"epoch-{self.restarts + 1}"

    # The steps

    def _connect(self, step: Step) -> None:
        self.connections[step["connect"]] = Connection(
            TRANSPORTS[step["carrier"]], step.get("subject", "")
        )

    def _receive(self, step: Step) -> None:
        connection = self.connections[step["on"]]
        try:
            binary = connection.transport is TransportKind.WEBSOCKET
            frame = self.decoder.decode(to_wire(step["receive"], binary=binary))
            if connection.session is not None:
                assert connection.attachment is not None
                replies = connection.session.receive(connection.attachment, frame, self.now)
                connection.session.reply(connection.attachment, replies)
            elif isinstance(frame, Open):
                self._open(frame, connection)
            else:
                raise ProtocolError(codes.BAD_FRAME, "the first frame is open")
        except ProtocolError as error:
            self._fail(connection, error)

    def _fail(self, connection: Connection, error: ProtocolError) -> None:
        if connection.session is None or connection.attachment is None:
            connection.code = error.code
            connection.out.append(encode_control(error_frame(error)))
        else:
            connection.session.fail(connection.attachment, error)

    def _post(self, step: Step) -> Step:
        body = "\n".join(str(to_wire(frame)) for frame in step["post"]).encode()
        try:
            header, frames = split_header(self.decoder.decode_lines(body))
            post = Post(header, frames, self._find(header), self.now)
            while post.take(self.now) is not None:
                post.renewed()
            wires = post.answer()
        except ProtocolError as error:
            return {"answer": from_wire(encode_control(error_frame(error)))}
        return {"answer": [from_wire(wire) for wire in wires]}

    def _poll(self, step: Step) -> None:
        connection = self.connections[step["on"]] = Connection(TransportKind.LONGPOLL, "")
        try:
            frame = self.decoder.decode(to_wire(step["poll"]))
            if not isinstance(frame, Poll):
                raise ProtocolError(codes.BAD_FRAME, "the body is one open or one poll frame")
            session = self._find(frame)
            attachment = find_poll(frame, session)
            if not session.poll(attachment, frame, self.now):
                connection.outdated = True
                return
        except ProtocolError as error:
            self._fail(connection, error)
            return
        for older in self.connections.values():
            older.outdated = older.outdated or older.attachment is attachment
        connection.session, connection.attachment = session, attachment
        hold = frame.hold if isinstance(frame.hold, (int, float)) else self.limits.poll_hold
        connection.answer_by = self.now + min(hold, self.limits.poll_hold)

    def _send(self, step: Step) -> None:
        self._current.send(encode_message(to_message(step["send"]), self.limits))

    def _take(self, _: Step) -> Step:
        try:
            message = self._current.receive_nowait()
        except ChannelClosed:
            return {"taken": "closed"}
        if message is EMPTY:
            return {"taken": "waiting"}
        return {"taken": {"message": from_message(message)}}

    def _return(self, _: Step) -> None:
        self._current.close(1000, "", "app", self.now)

    def _raise(self, _: Step) -> None:
        self._current.close(1011, "the handler failed", "protocol", self.now, failed=True)

    def _close(self, step: Step) -> None:
        self._current.close(step["close"]["code"], step["close"]["reason"], "app", self.now)

    def _reset(self, step: Step) -> None:
        self._current.reset(ResetReason(step["reset"]))

    def _drain(self, step: Step) -> None:
        self._current.drain(step["drain"])

    def _lose(self, step: Step) -> None:
        connection = self.connections.pop(step["lose"])
        if connection.session is not None and connection.attachment is not None:
            connection.session.attachments.detach(connection.attachment)

    def _tick(self, _: Step) -> None:
        """Only time passes."""

    _actions: ClassVar[dict[str, Callable[[Bench, Step], Step | None]]] = {
        "connect": _connect,
        "receive": _receive,
        "post": _post,
        "poll": _poll,
        "send": _send,
        "take": _take,
        "return": _return,
        "raise": _raise,
        "close": _close,
        "reset": _reset,
        "drain": _drain,
        "lose": _lose,
        "tick": _tick,
    }

    # The directory of sessions

    @property
    def _current(self) -> ServerSession:
        if self.session is None:
            raise ValueError("no session was opened yet")
        return self.session

    def _open(self, frame: Open, connection: Connection) -> None:
        check_version(frame)
        reset: Reset | None = None
        match resume(frame, self._named(frame, connection.subject), epoch=self.epoch):
            case Attach(session):
                connection.attachment = attach(
                    session, frame, connection.transport, self.now, epoch=self.epoch
                )
                connection.session = session
                return
            case SendClose(close):
                self._send_close(connection, close)
                return
            case Refuse(error):
                raise error
            case Begin(reset):
                pass
            case Replace(session, reset):
                session.reset(reset.reason)
        self._begin(frame, connection, reset)

    def _begin(self, frame: Open, connection: Connection, reset: Reset | None) -> None:
        key = (connection.subject, f"{frame.client} {frame.nonce}")
        session_id, until = self.nonces.get(key, ("", 0.0))
        found = Found(issued=False)
        if self.now < until:
            found = Found(self.sessions[session_id][1])
        decision = begin(found)
        match decision:
            case Attach(session):
                pass
            case Create():
                session = self._create(key)
            case SendClose(close):
                self._send_close(connection, close)
                return
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)
        if self.session is None or self.session.ending is not None:
            self.session = session
        self.tokens += 1
        secret = f"secret-{self.tokens}"
        self.sessions[session.id][0].issue(secret)
        connection.attachment = attach(
            session,
            frame,
            connection.transport,
            self.now,
            epoch=self.epoch,
            token=make_token(session.id, secret),
            reset=reset,
        )
        connection.session = session

    def _create(self, key: tuple[str, str]) -> ServerSession:
        self.opened += 1
        session = ServerSession(f"s{self.opened}", self.limits, self.now)
        self.nonces[key] = (session.id, self.now + self.limits.nonce)
        self.sessions[session.id] = (Record(session.id, key[0]), session)
        return session

    def _send_close(self, connection: Connection, close: Close) -> None:
        connection.out.append(encode_control(close))
        connection.code = codes.NORMAL

    def _named(self, frame: Open, subject: str) -> Found | None:
        """What the credential of an ``open`` names, None if it is not valid for this user."""
        if not isinstance(frame.session, str):
            return None
        record, session, secret = self._look_up(frame.session)
        if record is None or record.subject != subject:
            return None
        record.use(secret)
        return Found(session)

    def _look_up(self, token: str) -> tuple[Record | None, ServerSession | None, str]:
        session_id, secret = split_token(token) or ("", "")
        record, session = self.sessions.get(session_id, (None, None))
        if record is None or not record.opens_to(secret):
            return None, None, ""
        return record, session, secret

    def _find(self, frame: Send | Poll) -> ServerSession:
        record, session, secret = self._look_up(frame.session)
        if record is not None:
            record.use(secret)
        return find_session(frame, session, epoch=self.epoch)

    # What comes of a step

    def _flush(self, result: Step) -> None:
        writes: dict[str, list[Any]] = {}
        ended: dict[str, str] = {}
        for name, connection in list(self.connections.items()):
            wires, code, over = self._written(connection)
            if wires or (over and connection.transport is TransportKind.LONGPOLL):
                writes[name] = [from_wire(wire) for wire in wires]
            if code is not None:
                ended[name] = code.name
            if over:
                del self.connections[name]
        if writes:
            result["writes"] = writes
        if ended:
            result["ended"] = ended

    def _written(self, connection: Connection) -> tuple[list[EncodedFrame], Code | None, bool]:
        """What is written on it, why the server ends it, and whether it is over."""
        session, attachment = connection.session, connection.attachment
        if connection.outdated:
            return [], None, True
        if session is None or attachment is None:
            return connection.out, connection.code, connection.code is not None
        if (
            not session.downlink.is_due(attachment, self.now)
            and not 0 < connection.answer_by <= self.now
        ):
            return [], None, False
        if connection.transport is TransportKind.LONGPOLL:
            return session.downlink.answer_poll(attachment, self.now), attachment.code, True
        wires = session.downlink.transmit(attachment, self.now)
        assert wires or attachment.code is not None, "due, but nothing was written"
        assert attachment.code is not None or not session.downlink.is_due(attachment, self.now)
        return wires, attachment.code, attachment.code is not None
