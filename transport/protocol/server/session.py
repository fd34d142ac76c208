"""The server's half of a session: marks, buffers, attachments, and what each frame does to them.

Pure: frames, calls and ``now`` (seconds of any monotonic clock) go in; `transmit` says what to
write on a connection, `receive` what to answer, `tick` moves deadlines. A driver owns sockets,
tasks and the clock, and after each input asks three questions: which attachments are due
(`is_due`), is there a message (`receive_nowait`), has the session ended (`ending`)?
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from msgspec import UNSET

from transport import codes
from transport.errors import ChannelClosed, Foreign, LocalProtocolError, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Oversized, Payload, encode_control, json_size, size_of
from transport.protocol.frames import (
    VERSION,
    Ack,
    By,
    Bytes,
    ClientControl,
    Close,
    Data,
    Drain,
    Error,
    Json,
    Open,
    Opened,
    Ping,
    Poll,
    Pong,
    Renew,
    Renewal,
    Reset,
    ResetReason,
    Send,
    ServerControl,
    Skip,
    TransportKind,
    Verdict,
    error_frame,
    nothing_known,
)
from transport.protocol.receive_window import ReceiveCursor
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.attachments import Attachment, Attachments, Refusal
from transport.protocol.server.downlink import Downlink
from transport.protocol.server.liveness import End, check
from transport.protocol.server.tombstone import Ending, Tombstone
from transport.protocol.states import (
    AttachmentState,
    State,
    Step,
    advance,
)


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of a session at one instant.

    Attributes:
        sent: messages that were given a number.
        acknowledged: of these, those that the client has acknowledged.
        buffered_bytes: the size of those that it has not.
        received: messages received in order.
        handled: of these, those that the handler has finished with.
        replayed: messages that were written again, on another connection.
        transports: the transport of each connection that is attached.
    """

    sent: int
    acknowledged: int
    buffered_bytes: int
    received: int
    handled: int
    replayed: int
    transports: tuple[TransportKind, ...]


class Empty(Enum):
    """There is no message to take now."""

    TOKEN = 0


EMPTY = Empty.TOKEN


class _Skipped(Enum):
    TOKEN = 0


_SKIPPED = _Skipped.TOKEN

# Every message asks for these, and a member costs as much as a call where its enum is asked.
_CLOSING, _CLOSED = State.CLOSING, State.CLOSED
_CONFIRMED, _ENDED = AttachmentState.CONFIRMED, AttachmentState.ENDED


class ServerSession:
    """One session, as the server holds it.

    Args:
        session_id: the public id.
        limits: bounds and times.
        now: when it was opened.
    """

    __slots__ = (
        "_deadline",
        "_inbox",
        "_received_at",
        "attachments",
        "downlink",
        "ending",
        "id",
        "incoming",
        "limits",
        "outgoing",
        "peer_close",
        "state",
    )

    def __init__(self, session_id: str, limits: Limits, now: float) -> None:
        self.id = session_id
        self.limits = limits
        self.state = State.OPEN
        self.outgoing = SendBuffer(limits)
        self.incoming = ReceiveCursor(limits)
        self.ending: Ending | None = None
        self._inbox: list[Json] = []
        self.attachments = Attachments(self.outgoing, self.incoming)
        self.downlink = Downlink(self.outgoing, self.incoming, limits)
        self._received_at = now
        self.peer_close: Close | None = None
        """The client's ``close``, once it has come."""
        self._deadline = 0.0
        """Of the closing."""

    # What a driver asks

    def counters(self) -> Counters:
        """Return the counters of the session, now."""
        outgoing, incoming = self.outgoing, self.incoming
        return Counters(
            sent=outgoing.last,
            acknowledged=outgoing.acked,
            buffered_bytes=outgoing.size,
            received=incoming.received,
            handled=incoming.handled,
            replayed=self.downlink.replayed,
            transports=tuple(attachment.transport for attachment in self.attachments.live),
        )

    # The application's side

    def send(self, payload: Payload, size: int | None = None) -> int:
        """Number a message and keep it until it is acknowledged.

        The caller has seen to it that there is room (`SendBuffer.has_room`).

        Args:
            payload: the message.
            size: its bytes, where they are known (`size_of`).

        Raises:
            ChannelClosed: the session is closing or over.
        """
        if self.state is _CLOSING or self.state is _CLOSED:
            raise self.closed_error()
        return self.outgoing.append(payload, size_of(payload) if size is None else size)

    def receive_nowait(self) -> Json | Empty:
        """The handler's next message; what it was given before is now handled (MRK-2).

        Returns:
            The message, or `EMPTY`.

        Raises:
            ChannelClosed: there will be no more.
        """
        incoming = self.incoming
        if self.state is _CLOSING or self.state is _CLOSED:
            raise self.closed_error()
        if incoming.handled != incoming.handed:
            incoming.finish()
        inbox = self._inbox
        while inbox:
            message = inbox.pop(0)
            incoming.handed += 1
            if message is not _SKIPPED:
                return message
            incoming.finish()
        if self.peer_close is not None and incoming.received >= self.peer_close.last:
            raise self.closed_error()
        return EMPTY

    def close(self, code: int, reason: str, by: By, now: float, *, failed: bool = False) -> None:
        """Give no more numbers; deliver what was given, then end (CLS-1, CLS-3).

        Args:
            code: 1000 or 3000-4999 by the app, or of the table of codes by the protocol.
            reason: for people, at most 123 bytes.
            by: whose code it is.
            now: seconds.
            failed: whether the handler failed with a message in its hand, whose fate is unknown.

        Raises:
            ValueError: a code or reason that ``close`` does not carry.
        """
        incoming = self.incoming
        state = advance(self.state, Step.LOCAL_CLOSE)
        handled = incoming.handled if failed else incoming.handed
        self.downlink.close = Close(
            code=code,
            reason=reason,
            by=by,
            last=self.outgoing.last,
            ack=handled,
            in_hand=incoming.handed if incoming.handed > handled else UNSET,
        )
        self.state = state
        if not failed:
            incoming.finish()
        self._inbox.clear()
        self._deadline = now + self.limits.closing
        self._end_if_acknowledged()

    @property
    def is_readable(self) -> bool:
        """Whether `receive_nowait` would give something, or raise."""
        return (
            bool(self._inbox)
            or self.state is _CLOSING
            or self.state is _CLOSED
            or (self.peer_close is not None and self.incoming.received >= self.peer_close.last)
        )

    def closed_error(self) -> ChannelClosed:
        """The error that tells how the session ended, or is ending."""
        if self.ending is not None:
            return ChannelClosed(self.ending.code, self.ending.reason)
        close = self.peer_close or self.downlink.close
        if close is None:
            raise LocalProtocolError("the session is not closing")
        return ChannelClosed(close.code, close.reason)

    # Attaching

    def attach(
        self,
        frame: Open,
        transport: TransportKind,
        now: float,
        *,
        epoch: str,
        verdict: Verdict = Verdict.RESUMED,
        token: str | None = None,
        reset: Reset | None = None,
    ) -> Attachment | Reset:
        """Answer an ``open`` for this session.

        Args:
            frame: the ``open``.
            transport: the transport it came over.
            now: seconds.
            epoch: of the store.
            verdict: NEW or RESET where the session was made for this ``open``.
            token: the credential to give, where one is due.
            reset: with RESET, what became of the old session.

        Returns:
            An attachment with ``opened`` as its first frame, or the verdict that this client cannot
            have the session (RES-5, RES-7).

        Raises:
            ProtocolError: ``superseded`` (ATT-4).
        """
        found = self.attachments.attach(
            frame, transport, now, verdict=verdict, peer_closed=self.peer_close is not None
        )
        if isinstance(found, Refusal):
            if found.ends_session:
                self.reset(found.reset.reason)
            return found.reset
        opened = Opened(
            version=VERSION,
            id=self.id,
            attach=frame.attach,
            client=frame.client,
            verdict=verdict,
            received=self.incoming.received,
            handled=self.incoming.handled,
            sent=self.outgoing.last,
            epoch=epoch,
            limits=self.limits.advertised_limits(),
            timings=self.limits.advertised_timings(),
            session=token if token is not None else UNSET,
            reset=reset.bare() if reset is not None else UNSET,
        )
        found.control.append(encode_control(opened))
        self._received_at = now
        return found

    def fail(self, attachment: Attachment, error: ProtocolError) -> None:
        """End an attachment for its client's fault; the session lives on.

        Has no effect on an attachment that has ended: it has its reason.
        """
        if attachment.code is None:
            self.attachments.end(attachment, error.code, error_frame(error))

    def reply(self, attachment: Attachment, replies: Iterable[ServerControl]) -> None:
        """Queue what `receive` returned, for a transport that answers on the same connection."""
        attachment.control += map(encode_control, replies)

    def ask_renewal(self, within: float) -> None:
        """Ask every client that is attached for fresh credentials (REN-1)."""
        for attachment in self.attachments.live:
            attachment.control.append(encode_control(Renewal(within=within)))

    # Frames of the client

    def record_activity(self, attachment: Attachment | None, now: float) -> None:
        """Something of the client came in (LIV-3); ``attachment`` as for `receive`."""
        self._received_at = now
        if attachment is not None:
            attachment.received_at = now
            attachment.pings = 0

    def receive(
        self,
        attachment: Attachment | None,
        frame: Data | Oversized | ClientControl,
        now: float,
    ) -> list[ServerControl]:
        """Take one frame of an attached client.

        Args:
            attachment: where it came in; None for a POST whose downlink has ended.
            frame: data, or a control frame other than open, renew, send and poll.
            now: seconds.

        Returns:
            What to answer at once: on WebSocket by this connection, on HTTP in the POST's answer.

        Raises:
            ProtocolError: the connection ends with it. Nothing of the frame was taken.
        """
        if self.state is _CLOSED or (attachment is not None and attachment.state is _ENDED):
            return []
        self._received_at = now
        if attachment is not None:
            attachment.received_at = now
            attachment.pings = 0
        try:
            if isinstance(frame, Data):  # nearly all
                self._receive_messages(attachment, frame.seq, frame.ack, frame.messages, frame.size)
                return []
            return self._receive_control(attachment, frame)
        except Foreign:
            self._handle_foreign_ack(attachment)
            return []

    def _receive_control(
        self, attachment: Attachment | None, frame: Oversized | ClientControl
    ) -> list[ServerControl]:
        match frame:
            case Oversized():
                return self._receive_oversized(attachment, frame)
            case Ack():
                self.outgoing.check(frame.ack)
                if attachment is not None:
                    attachment.client_received = max(attachment.client_received, frame.ack)
                    self.attachments.confirm(attachment)
                self._acknowledge(frame.ack)
            case Skip():
                self._receive_messages(attachment, frame.number, frame.ack, [_SKIPPED], 0)
            case Ping():
                return [Pong(id=frame.id)]
            case Pong():
                pass
            case Close():
                self.attachments.check_may_send(attachment)
                self._receive_close(frame)
            case Bytes() | Open() | Renew() | Send() | Poll():
                raise ProtocolError(codes.BAD_FRAME, "this frame has no place here")
            case _:
                assert_never(frame)
        return []

    def _receive_messages(
        self, attachment: Attachment | None, seq: int, ack: int, messages: list[Json], size: int
    ) -> None:
        """Take messages ``seq``, ``seq + 1``, ... and the client's mark, or nothing (FRM-4)."""
        if attachment is not None and attachment.state is not _CONFIRMED:
            self.attachments.check_may_send(attachment)
        outgoing, incoming = self.outgoing, self.incoming
        outgoing.check(ack)
        count = len(messages)
        if self.peer_close is not None and seq + count - 1 > self.peer_close.last:
            raise ProtocolError(codes.BAD_FRAME, "a number above the last of your close")
        if seq != incoming.received + 1 and (repeated := incoming.repeated(seq, count)):
            messages = messages[repeated:]
            size = json_size(messages)
        if messages:
            incoming.take(len(messages), size)
            self.attachments.end_other_clients()
            if self.state is not _CLOSING:  # else they are not handled, as said (CLS-3)
                self._inbox.extend(messages)
        if ack > outgoing.acked:
            self._acknowledge(ack)

    def _handle_foreign_ack(self, attachment: Attachment | None) -> None:
        """A mark of another session: over with this one, save for its holder (MRK-5, RES-7)."""
        if attachment is None or attachment.client == self.attachments.owner:
            self.reset(ResetReason.FOREIGN)
        else:
            self.attachments.end(attachment, codes.RESET, nothing_known(ResetReason.FOREIGN))

    def _receive_oversized(
        self, attachment: Attachment | None, frame: Oversized
    ) -> list[ServerControl]:
        before = frame.before
        self._receive_messages(attachment, before.seq, before.ack, before.messages, before.size)
        if self.state is _CLOSED or not self.incoming.refuse(frame.number):
            return []
        return [
            Error(
                code=codes.TOO_LARGE.name,
                message=f"a message is at most Limits(message={self.limits.message}) of the server",
                number=frame.number,
                limit="message",
            )
        ]

    def _acknowledge(self, number: int) -> None:
        if self.outgoing.acknowledge(number):
            self._end_if_acknowledged()

    def _receive_close(self, frame: Close) -> None:
        self.outgoing.check(frame.ack)
        if self.peer_close is None:
            if frame.last < self.incoming.received:
                raise ProtocolError(codes.BAD_NUMBER, "last is below what was received")
            self.peer_close = frame
            self.attachments.end_other_clients()
        self.state = advance(self.state, Step.PEER_CLOSE)
        self._acknowledge(frame.ack)

    def _end_if_acknowledged(self) -> None:
        close = self.downlink.close
        if self.state is _CLOSING and close and self.outgoing.acked >= close.last:
            self._finish(Step.ALL_ACKNOWLEDGED, close)

    # HTTP

    def poll(self, attachment: Attachment, frame: Poll, now: float) -> bool:
        """Begin a poll (POL-2).

        Returns:
            False where it is older than one that came before, and is to be answered empty.

        Raises:
            ProtocolError: ``superseded`` (ATT-6).
        """
        self.record_activity(attachment, now)
        if frame.poll < attachment.poll:
            return False
        try:
            self.outgoing.check(frame.ack)
        except Foreign:
            self._handle_foreign_ack(attachment)
            return True
        attachment.client_received = max(attachment.client_received, frame.ack)
        self.attachments.confirm(attachment)
        self.downlink.begin_poll(attachment, frame)
        self._acknowledge(frame.ack)
        return True

    # Time and ends

    def tick(self, now: float) -> None:
        """Do what has become due: expiry, closing, pings, connections that are dead or too old."""
        limits = self.limits
        if self.state is _CLOSED:
            return
        if self.downlink.close is not None:
            if now >= self._deadline:  # until then a resume still gets it all (CLS-1)
                self._finish(Step.GIVE_UP, self.downlink.close)
                return
        elif now - self._received_at >= limits.ttl:
            self._reset(Step.EXPIRE, ResetReason.EXPIRED)
            return
        for attachment in list(self.attachments.live):
            match check(attachment, now, limits):
                case None:
                    pass
                case End(code, last):
                    self.attachments.end(attachment, code, last)
                case Ping() as ping:
                    attachment.pings += 1
                    attachment.written_at = now
                    attachment.control.append(encode_control(ping))

    def drain(self, retry_in: float) -> None:
        """Tell every connection to leave and resume elsewhere (DRN-1)."""
        self.attachments.end_all(codes.RESTART, Drain(retry_in=retry_in))

    def reset(self, reason: ResetReason) -> None:
        """End the session, and tell what was lost (RES-4)."""
        self._reset(Step.RESET, reason)

    def _reset(self, step: Step, reason: ResetReason) -> None:
        self.state = advance(self.state, step)
        self._record_ending(
            Ending(code=codes.RESET.websocket or 0, reason=reason, by="protocol", reset=reason)
        )
        verdict = self.tombstone().verdict(self.outgoing.acked)
        self.attachments.end_all(codes.RESET, verdict)

    def _finish(self, step: Step, close: Close) -> None:
        self.state = advance(self.state, step)
        self._record_ending(Ending(code=close.code, reason=close.reason, by=close.by, close=close))
        for attachment in list(self.attachments.live):
            if not attachment.close_written:
                attachment.control.append(encode_control(close))
            self.attachments.end(attachment, codes.NORMAL)

    def _record_ending(self, ending: Ending) -> None:
        self.ending = ending
        self._inbox.clear()

    def tombstone(self) -> Tombstone:
        """What the session leaves behind, once it has ended.

        Raises:
            LocalProtocolError: it has not.
        """
        if self.ending is None:
            raise LocalProtocolError("a session that lives has no tombstone")
        return Tombstone(
            ending=self.ending,
            handled=self.incoming.handled,
            in_hand=self.incoming.handed,
            last=self.outgoing.last,
            received=self.incoming.received,
            owner=self.attachments.owner,
        )
