"""`PairServer`: the server's end of a `Pair`.

The server of a pair is as small as a server can be. It keeps sessions by token and by nonce, acts
on the decisions of `transport.protocol.server.opening`, takes POSTs and polls by the rules of
`transport.protocol.server.uplink`, and writes what a session has due. It has no credentials, no
store and no clock of its own: the pair passes the time, and delivers what the server writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from transport import codes
from transport.errors import ChannelClosed, ProtocolError
from transport.limits import Limits
from transport.protocol.client.events import ConnectionLost, FrameReceived, Input
from transport.protocol.client.link import Link
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    EncodedFrame,
    Json,
    Open,
    Poll,
    Reset,
    Send,
    TransportKind,
    error_frame,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.opening import (
    Attach,
    Begin,
    Create,
    FinalAnswer,
    Found,
    Refuse,
    Replace,
    ShowEnd,
    attach,
    begin,
    check_supported,
    final_answer,
    resume,
)
from transport.protocol.server.session import ServerSession
from transport.protocol.server.uplink import Post, begin_poll, polled_attachment, require_session
from transport.testing.lossy_link import Lane

EPOCH = "pair"

Respond = Callable[[int, str], None]
"""Answers a request, with an HTTP status and a body."""


@dataclass(slots=True, eq=False)
class PairConnection:
    """One connection, as both ends see it: a WebSocket, an event stream, or the polls of an attach.

    The client writes `link` and `is_cut`; the server writes the rest.
    """

    link: Link
    up: Lane = field(default_factory=Lane)
    down: Lane = field(default_factory=Lane)
    is_cut: bool = False
    session: ServerSession | None = None
    attachment: Attachment | None = None
    answer_poll: Callable[[str], None] | None = None
    """Answers the parked poll; None if no poll is parked."""
    poll_deadline: float = 0.0
    """When the parked poll is answered at the latest."""

    @property
    def transport(self) -> TransportKind:
        """Return the kind of transport that this connection is."""
        return self.link.transport


class PairServer:
    """Sessions by token and nonce, and the handler that takes their messages.

    Args:
        limits: the limits of every session.
        write: delivers something to the client's end of a connection, sooner or later.

    Attributes:
        session: the session that began last; None before the first.
        handled: the messages that the handler has received.
    """

    def __init__(self, limits: Limits, write: Callable[[PairConnection, Input], None]) -> None:
        self.session: ServerSession | None = None
        self.handled: list[Json] = []
        self._limits = limits
        self._write = write
        self._decoder = Decoder(limits)
        self._by_token: dict[str, ServerSession] = {}
        self._by_nonce: dict[str, ServerSession] = {}

    def tick(self, now: float) -> None:
        """Let every session act on its deadlines."""
        for session in dict.fromkeys(self._by_nonce.values()):
            session.tick(now)

    def run_handler(self) -> None:
        """Let the handler take the messages that have arrived."""
        if self.session is not None:
            self._take_messages(self.session)

    def flush(self, connection: PairConnection, now: float) -> bool:
        """Write what is due on a connection, and return whether its attachment has ended."""
        session, attachment = connection.session, connection.attachment
        if session is None or attachment is None:
            return False
        due = session.downlink.is_due(attachment, now)
        if connection.transport is TransportKind.LONGPOLL:
            answer_poll = connection.answer_poll
            if answer_poll is not None and (due or now >= connection.poll_deadline):
                connection.answer_poll = None
                answer_poll(_body(session.downlink.answer_poll(attachment, now)))
        elif due:
            for encoded in session.downlink.transmit(attachment, now):
                self._write(connection, FrameReceived(encoded))
        if attachment.code is None:
            return False
        connection.session = connection.attachment = None
        if connection.transport is not TransportKind.LONGPOLL:
            self._write(connection, ConnectionLost("ended"))
        return True

    def connection_lost(self, connection: PairConnection) -> None:
        """Act on a cut that the server notices."""
        if connection.session is not None and connection.attachment is not None:
            connection.session.attachments.detach(connection.attachment)

    # What arrives

    def receive_frame(self, connection: PairConnection, encoded: EncodedFrame, now: float) -> None:
        """Handle one message of a WebSocket."""
        session, attachment = connection.session, connection.attachment
        try:
            frame = self._decoder.decode(encoded)
            if isinstance(frame, Open):
                self._open(connection, frame, now)
            elif session is not None and attachment is not None and attachment.code is None:
                session.reply(attachment, session.receive(attachment, frame, now))
        except ProtocolError as error:
            if session is not None and attachment is not None:
                session.fail(attachment, error)
            else:
                self._write(connection, FrameReceived(encode_control(error_frame(error))))

    def receive_request(
        self,
        connection: PairConnection,
        frames: Sequence[EncodedFrame],
        respond: Respond,
        now: float,
    ) -> None:
        """Handle a request. It may be late, a duplicate, or from a connection that was cut."""
        try:
            first, *rest = map(self._decoder.decode, frames)
            match first:
                case Open():
                    self._open(connection, first, now)
                    session, attachment = connection.session, connection.attachment
                    if connection.transport is TransportKind.LONGPOLL and attachment is not None:
                        assert session is not None
                        respond(200, _body(session.downlink.answer_poll(attachment, now)))
                case Send():
                    session = self._find(first)
                    post = Post(first, rest, session)
                    if post.take(now) is not None:
                        raise ProtocolError(codes.BAD_FRAME, "a pair has no credentials")
                    post.hold_downlink()
                    self._take_messages(session)
                    respond(200, _body(post.answer()))
                case Poll():
                    self._park(connection, first, respond, now)
                case _:
                    raise AssertionError(first)
        except ProtocolError as error:
            respond(error.code.status or 400, encode_control(error_frame(error)) + "\n")

    def _park(self, connection: PairConnection, frame: Poll, respond: Respond, now: float) -> None:
        """Keep a poll until something is due (POL-2)."""
        session = self._find(frame)
        if not begin_poll(session, polled_attachment(frame, session), frame, now):
            respond(200, "")
            return
        if connection.answer_poll is not None:
            connection.answer_poll("")
        connection.answer_poll = lambda text: respond(200, text)
        connection.poll_deadline = now + self._limits.poll_hold

    def _find(self, frame: Send | Poll) -> ServerSession:
        return require_session(frame, self._by_token.get(frame.session), epoch=EPOCH)

    def _take_messages(self, session: ServerSession) -> None:
        try:
            while (message := session.receive_nowait()) is not EMPTY:
                self.handled.append(message)
        except ChannelClosed:
            pass

    # Opening

    def _open(self, connection: PairConnection, frame: Open, now: float) -> None:
        check_supported(frame)
        named = self._by_token.get(frame.session) if isinstance(frame.session, str) else None
        reset: Reset | None = None
        decision = resume(frame, Found(named) if named is not None else None, epoch=EPOCH)
        match decision:
            case Attach(session):
                connection.attachment = attach(
                    session, frame, connection.transport, now, epoch=EPOCH
                )
                connection.session = session
                return
            case FinalAnswer(frames):
                for control in frames:
                    self._write(connection, FrameReceived(encode_control(control)))
                return
            case Refuse(error):
                raise error
            case Begin(reset):
                pass
            case Replace(session, reset):
                session.reset(reset.reason)
            case _:
                assert_never(decision)
        self._begin(connection, frame, reset, now)

    def _begin(
        self, connection: PairConnection, frame: Open, reset: Reset | None, now: float
    ) -> None:
        begun = self._by_nonce.get(frame.nonce)
        decision = begin(Found(begun, begun=begun is not None))
        match decision:
            case Attach(session):
                pass
            case Create():
                session = ServerSession(f"s{len(self._by_nonce) + 1}", self._limits, now)
                self._by_nonce[frame.nonce] = self.session = session
            case ShowEnd(ended):
                assert begun is not None
                answer = final_answer(
                    begun.id,
                    ended,
                    frame,
                    self._limits,
                    epoch=EPOCH,
                    token=_token(begun),
                    reset=reset,
                )
                for control in answer.frames:
                    self._write(connection, FrameReceived(encode_control(control)))
                return
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)
        token = _token(session)
        self._by_token[token] = session
        connection.attachment = attach(
            session, frame, connection.transport, now, epoch=EPOCH, token=token, reset=reset
        )
        connection.session = session


def _token(session: ServerSession) -> str:
    return f"{session.id}.secret"


def _body(frames: Sequence[EncodedFrame]) -> str:
    """Return frames as the lines of a body."""
    return "".join(f"{encoded!s}\n" for encoded in frames)
