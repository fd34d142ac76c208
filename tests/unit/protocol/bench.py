"""`Bench`: a server of the pure core alone, driven by the steps of a vector.

`tests/vectors/README.md` describes the steps. The bench adds only what the core leaves to
a process: connections by name, and a `Directory` of sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tests.unit.protocol.directory import Directory, ServerConnection, store
from tests.unit.protocol.vector_forms import (
    TRANSPORTS,
    Step,
    from_message,
    from_wire,
    to_message,
    to_wire,
)
from transport import codes
from transport.codes import Code
from transport.errors import ChannelClosed, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control, encode_message
from transport.protocol.frames import (
    EncodedFrame,
    Open,
    Poll,
    ResetReason,
    TransportKind,
    error_frame,
)
from transport.protocol.server import uplink
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.server.uplink import Post, answer_ended, polled_attachment, split_header


class Bench:
    """Sessions and connections; `run` does one step.

    Args:
        limits: the limits of every session.
        has_inner: whether the handler is a WebSocket application (TGT-1).
        journaled: whether a store keeps the sessions; it has everything after each step.

    Attributes:
        now: the time of the last step, in seconds.
        connections: the open connections and the parked polls, by name.
        posts: the POSTs in hand, by name.
        directory: the sessions.
    """

    def __init__(self, limits: Limits, *, has_inner: bool = False, journaled: bool = False) -> None:
        self.now = 0.0
        self.connections: dict[str, ServerConnection] = {}
        self.posts: dict[str, Post] = {}
        self.directory = Directory(limits, has_inner, journaled=journaled)
        self._limits = limits
        self._decoder = Decoder(limits)

    @property
    def sessions(self) -> list[ServerSession]:
        """Return the sessions that have begun since the last restart, ended ones included."""
        return [session for _, session in self.directory.sessions.values()]

    def run(self, step: Step, now: float) -> Step:
        """Do one step. Return its outcome, in the form of ``expect``."""
        self.now = now
        result: Step = {}
        for name, do in self._actions.items():
            if name in step:
                result = do(self, step) or {}
                break
        else:
            raise ValueError(f"a step does none of {', '.join(self._actions)}")
        for session in self.sessions:
            session.tick(self.now)
        self._store()
        self._flush(result)
        return result

    def _store(self) -> None:
        """Store what every session has, if a store keeps it."""
        for session in self.sessions:
            store(session)

    def restart(self) -> None:
        """Lose every connection and session, like a process that restarts (EPO-1)."""
        self.connections.clear()
        self.posts.clear()
        self.directory.restart()

    # The steps

    def _connect(self, step: Step) -> None:
        self.connections[step["connect"]] = ServerConnection(
            TRANSPORTS[step["carrier"]], step.get("subject", "")
        )

    def _receive(self, step: Step) -> None:
        connection = self.connections[step["on"]]
        try:
            binary = connection.transport is TransportKind.WEBSOCKET
            frame = self._decoder.decode(to_wire(step["receive"], binary=binary))
            if connection.session is not None:
                assert connection.attachment is not None
                replies = connection.session.receive(connection.attachment, frame, self.now)
                connection.session.reply(connection.attachment, replies)
            elif isinstance(frame, Open):
                self.directory.open(frame, connection, self.now)
            else:
                raise ProtocolError(codes.BAD_FRAME, "the first frame is open")
        except ProtocolError as error:
            self._fail(connection, error)

    def _fail(self, connection: ServerConnection, error: ProtocolError) -> None:
        if connection.session is None or connection.attachment is None:
            connection.code = error.code
            connection.out.append(encode_control(error_frame(error)))
        else:
            connection.session.fail(connection.attachment, error)

    def _post(self, step: Step) -> Step:
        body = "\n".join(str(to_wire(frame)) for frame in step["post"]).encode()
        try:
            header, frames = split_header(self._decoder.decode_lines(body))
            try:
                session = self.directory.find(header)
            except ProtocolError as error:
                if error.code is not codes.UNKNOWN_SESSION:
                    raise
                written = answer_ended(header, frames, self.directory.ended(header))
                return {"answer": [from_wire(encoded) for encoded in written]}
            post = Post(header, frames, session)
            while post.take(self.now) is not None:
                post.reattach()
        except ProtocolError as error:
            if error.code is codes.UNAVAILABLE:  # until it is stored: the client comes again
                self._store()
                return self._post(step)
            return _refused(error)
        post.hold_downlink()
        name = step.get("on", "")
        self.posts[name] = post
        return {} if name else self._answer({"answer": name})

    def _answer(self, step: Step) -> Step:
        post = self.posts.pop(step["answer"])
        self._store()
        try:
            return {"answer": [from_wire(encoded) for encoded in post.answer()]}
        except ProtocolError as error:
            return _refused(error)
        finally:
            post.release_downlink()

    def _poll(self, step: Step) -> None:
        connection = self.connections[step["on"]] = ServerConnection(TransportKind.LONGPOLL, "")
        try:
            frame = self._decoder.decode(to_wire(step["poll"]))
            if not isinstance(frame, Poll):
                raise ProtocolError(codes.BAD_FRAME, "the body is one open or one poll frame")
            session = self.directory.find(frame)
            attachment = polled_attachment(frame, session)
            if not uplink.begin_poll(session, attachment, frame, self.now):
                connection.is_outdated = True
                return
        except ProtocolError as error:
            self._fail(connection, error)
            return
        for older in self.connections.values():
            older.is_outdated = older.is_outdated or older.attachment is attachment
        connection.session, connection.attachment = session, attachment
        hold = frame.hold if isinstance(frame.hold, (int, float)) else self._limits.poll_hold
        connection.answer_by = self.now + min(hold, self._limits.poll_hold)

    def _send(self, step: Step) -> None:
        self._current.send(encode_message(to_message(step["send"]), self._limits))

    def _take(self, _: Step) -> Step:
        self._current.start_reading()
        try:
            message = self._current.receive_nowait()
        except ChannelClosed:
            return {"taken": "closed"}
        if message is EMPTY:
            return {"taken": "waiting"}
        return {"taken": {"message": from_message(message)}}

    def _await_ack(self, step: Step) -> None:
        self._current.downlink.ack_waiters += 1 if step["await_ack"] else -1

    def _return(self, _: Step) -> None:
        self._current.close(1000, "", "app", self.now)

    def _unread(self, _: Step) -> None:
        self._current.stop_reading()

    def _raise(self, step: Step) -> None:
        reason, retry_in = "the handler failed", step.get("retry_in")
        self._current.close(1011, reason, "protocol", self.now, failed=True, retry_in=retry_in)

    def _close(self, step: Step) -> None:
        self._current.close(step["close"]["code"], step["close"]["reason"], "app", self.now)

    def _reset(self, step: Step) -> None:
        self._current.reset(ResetReason(step["reset"]))

    def _overflow(self, step: Step) -> None:
        for _ in range(step["overflow"]):
            self._current.overflow()

    def _drain(self, step: Step) -> None:
        self._current.drain(step["drain"])

    def _lose(self, step: Step) -> None:
        if step["lose"] in self.posts:
            self.posts.pop(step["lose"]).release_downlink()
            return
        connection = self.connections.pop(step["lose"])
        if connection.session is not None and connection.attachment is not None:
            connection.session.attachments.detach(connection.attachment)

    def _tick(self, _: Step) -> None:
        """Let time pass; nothing else happens."""

    _actions: ClassVar[dict[str, Callable[[Bench, Step], Step | None]]] = {
        "connect": _connect,
        "receive": _receive,
        "post": _post,
        "answer": _answer,
        "poll": _poll,
        "send": _send,
        "take": _take,
        "unread": _unread,
        "await_ack": _await_ack,
        "return": _return,
        "raise": _raise,
        "close": _close,
        "reset": _reset,
        "overflow": _overflow,
        "drain": _drain,
        "lose": _lose,
        "tick": _tick,
    }

    @property
    def _current(self) -> ServerSession:
        if self.directory.current is None:
            raise ValueError("no session was opened yet")
        return self.directory.current

    # The outcome of a step

    def _flush(self, result: Step) -> None:
        writes: dict[str, list[Any]] = {}
        ended: dict[str, str] = {}
        for name, connection in list(self.connections.items()):
            written, code, over = self._write(connection)
            if written or (over and connection.transport is TransportKind.LONGPOLL):
                writes[name] = [from_wire(encoded) for encoded in written]
            if code is not None:
                ended[name] = code.name
            if over:
                del self.connections[name]
        if writes:
            result["writes"] = writes
        if ended:
            result["ended"] = ended

    def _write(self, connection: ServerConnection) -> tuple[list[EncodedFrame], Code | None, bool]:
        """Write what is due. Return it, why the connection ends, and whether it has ended."""
        session, attachment = connection.session, connection.attachment
        if connection.is_outdated:
            return [], None, True
        if session is None or attachment is None:
            return connection.out, connection.code, connection.code is not None
        is_poll = connection.transport is TransportKind.LONGPOLL
        is_due = session.downlink.is_due(attachment, self.now)
        if not is_due and not 0 < connection.answer_by <= self.now:
            return [], None, False
        write = session.downlink.answer_poll if is_poll else session.downlink.transmit
        written, code = write(attachment, self.now), attachment.code
        # Otherwise a driver would spin.
        assert written or not is_due or code is not None, "due, but nothing was written"
        assert code is not None or not session.downlink.is_due(attachment, self.now)
        return written, code, is_poll or code is not None


def _refused(error: ProtocolError) -> Step:
    return {"answer": from_wire(encode_control(error_frame(error)))}
