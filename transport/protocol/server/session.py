"""The server's half of a session.

A `ServerSession` combines the modules beside it: the buffers of both directions, the
`Attachments` (which connection has the session), the `Downlink` (what to write on it), its end
(`Closable`) and what a store keeps of it (`Journaled`). What is decided here is what each frame of
the client does. Two invariants:

- A frame is applied completely or not at all (FRM-4): everything is validated before anything
  changes.
- After each input the handler's next message, the frames that are due on each attachment and
  `ending` follow from the state alone. So a driver has nothing to remember: it wakes the tasks
  that wait, and they ask again.

Pure: frames, calls and ``now`` (seconds of any monotonic clock) go in. The driver owns sockets,
tasks and the clock, and calls the session as follows:

- `opening.attach` adds the attachment of a new connection; `Attachments.detach` removes it once
  the connection is lost.
- A frame of a WebSocket goes to `receive`, and what that returns to `reply`; a `ProtocolError`
  goes to `fail`. A POST is a `Post`, a poll goes to `begin_poll` (`uplink`).
- The handler uses `send`, `receive_nowait` and `close`. While nobody receives, `stop_reading` makes
  the session refuse messages; `start_reading` ends that.
- `tick` is called several times a second.
- After each of these, the driver writes `Downlink.transmit` (`answer_poll` on long poll) on every
  attachment for which `Downlink.is_due`, and closes connections whose attachment has a ``code``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from transport import codes
from transport.errors import ForeignAck, Gap, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import (
    Oversized,
    Payload,
    encode_control,
    json_size,
    size_of,
)
from transport.protocol.frames import (
    NOTHING,
    Ack,
    Bytes,
    ClientControl,
    Close,
    Data,
    Drain,
    Error,
    Json,
    Leave,
    Open,
    Ping,
    Poll,
    Pong,
    Renew,
    RenewRequest,
    ResetReason,
    Send,
    ServerControl,
    Skip,
    error_frame,
    reset_without_marks,
)
from transport.protocol.journal import Image
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.attachments import Attachment, Attachments
from transport.protocol.server.downlink import Downlink
from transport.protocol.server.frame_rates import FrameRates
from transport.protocol.server.inbox import EMPTY, Empty, Inbox
from transport.protocol.server.journaled import Journaled
from transport.protocol.server.liveness import End, check, time_of_leave
from transport.protocol.server.unread import Unread, is_told_again
from transport.protocol.states import AttachmentState, SessionState, SessionStep, advance

# Used for every message; looking up an enum member costs as much as a call.
_CLOSING, _CLOSED = SessionState.CLOSING, SessionState.CLOSED
_CONFIRMED, _ENDED = AttachmentState.CONFIRMED, AttachmentState.ENDED


class ServerSession(Journaled):
    """One session, as the server holds it.

    Args:
        session_id: the public id.
        limits: bounds and times.
        now: when it was opened.
    """

    __slots__ = ("_left_at", "_rates", "_received_at")

    def __init__(self, session_id: str, limits: Limits, now: float) -> None:
        self.id = session_id
        self.limits = limits
        self.state = SessionState.OPEN
        self.outgoing = SendBuffer(limits)
        self.incoming = ReceiveWindow(limits)
        self.attachments = Attachments(self.outgoing, self.incoming)
        self.downlink = Downlink(self.outgoing, self.incoming, limits)
        self.peer_close = self.closing = None
        self.ending = None
        self.dropped = 0
        self.inbox = Inbox(self.incoming)
        self.unstored = None
        self._unread = None
        self._closing_until = 0.0
        self._received_at = now
        self._left_at: float | None = None
        """What ``leave`` made of `_received_at`, which any later frame replaces."""
        self._rates = FrameRates(limits, self.incoming)

    @classmethod
    def restore(
        cls, session_id: str, limits: Limits, image: Image, now: float, *, trial: bool
    ) -> ServerSession:
        """Return a session that this process has claimed: it goes on from what the store has.

        What the client has sent above the mark comes again. If two homes have died at the next
        message, the session closes (1011), and hands nothing out.

        Args:
            session_id: the public id.
            limits: bounds and times.
            image: what the store has of it.
            now: seconds.
            trial: whether its home has died; False if that has released it.
        """
        session = cls(session_id, limits, now)
        session._continue(image, now, trial=trial)
        return session

    # The handler's side

    def send(self, payload: Payload, size: int | None = None) -> int:
        """Number a message and keep it until it is acknowledged.

        The caller has made sure that there is room (`SendBuffer.has_room`).

        Args:
            payload: the message.
            size: its bytes (`size_of`), None if they were not counted yet.

        Raises:
            ChannelClosed: the session is closing or over.
        """
        if self.state is _CLOSING or self.state is _CLOSED:
            raise self.closed_error()
        return self.outgoing.append(payload, size_of(payload) if size is None else size)

    def receive_nowait(self) -> Json | Empty:
        """Return the handler's next message, or `EMPTY`. The one before is now handled (MRK-2).

        Raises:
            ChannelClosed: there will be no more.
        """
        incoming = self.incoming
        if self.state is _CLOSING or self.state is _CLOSED:
            raise self.closed_error()
        if incoming.handled != incoming.delivered:
            incoming.mark_handled()
        unstored = self.unstored
        if unstored is not None:
            unstored.is_awaited = True
            if unstored.holds_back and (unstored.is_paused or self.inbox):
                self.inbox.put_down()
                return EMPTY
        message = self.inbox.take()
        if message is EMPTY:
            if self.peer_close is not None and self._has_everything():
                raise self.closed_error()
        elif unstored is not None:
            unstored.handed_out()
        return message

    def _has_everything(self) -> bool:
        """Whether everything up to the ``last`` of the client's close has arrived."""
        return self.peer_close is not None and self.incoming.received >= self.peer_close.last

    @property
    def is_unread(self) -> bool:
        """Whether messages are refused because nobody receives them (DAT-7)."""
        return self._unread is not None and not self._unread.is_reading

    def stop_reading(self) -> None:
        """Refuse the messages that wait, and those that come, as nobody receives them (DAT-7).

        What was delivered is handled. No effect unless the session is open.
        """
        if self.is_unread or self.state is not SessionState.OPEN:
            return
        if self._unread is None:
            self._unread = Unread(self.incoming)
        if (error := self._unread.begin(self.inbox)) is not None:
            for attachment in self.attachments.live:
                self.reply(attachment, [error])

    def start_reading(self) -> None:
        """Take messages again, as somebody receives them; not one that was refused (DAT-7)."""
        if self._unread is not None:
            self._unread = self._unread.end()

    @property
    def received_at(self) -> float:
        """When the client last showed a sign of life, in seconds (LIV-3)."""
        return self._received_at

    @property
    def has_left(self) -> bool:
        """Whether the client has gone away for good, as far as it knows (LIV-6)."""
        return self._received_at == self._left_at

    @property
    def is_readable(self) -> bool:
        """Whether `receive_nowait` would return a message, or raise."""
        if self.state is _CLOSING or self.state is _CLOSED:
            return True
        unstored, has_message = self.unstored, bool(self.inbox)
        if unstored is not None and unstored.holds_back and (unstored.is_paused or has_message):
            return False
        return has_message or self._has_everything()

    def handler_ended(self) -> None:
        """Count no message as held by the handler: it has ended, at whatever message."""
        if not self.inbox:
            self.inbox.in_hand_size = 0
            self.incoming.release()

    # Connections

    def fail(self, attachment: Attachment, error: ProtocolError) -> None:
        """End an attachment for its client's fault; the session lives on.

        Has no effect if the attachment has already ended.
        """
        if attachment.state is not _ENDED:
            self.attachments.end(attachment, error.code, error_frame(error))

    def reply(self, attachment: Attachment, replies: Iterable[ServerControl]) -> None:
        """Queue what `receive` returned, for a transport that answers on the same connection."""
        control = attachment.control
        for reply in replies:
            frame = encode_control(reply)
            told = attachment.waiting_refusal
            if told is not None and is_told_again(told, reply):
                control.pop()
            control.append(frame)
            attachment.refusal = (frame, reply) if isinstance(reply, Error) else None

    def ask_renewal(self, within: float) -> None:
        """Ask every client that is attached for fresh credentials (REN-1)."""
        for attachment in self.attachments.live:
            attachment.control.append(encode_control(RenewRequest(within=within)))

    # Frames of the client

    def confirm(self, attachment: Attachment) -> None:
        """Confirm an attach, and take as an ack what its client said there that it has (MRK-9).

        Raises:
            ProtocolError: see `Attachments.confirm`.
        """
        self.attachments.confirm(attachment)
        self.acknowledge(attachment.client_received)

    def record_activity(self, attachment: Attachment | None, now: float) -> None:
        """Record that the client is alive (LIV-3); ``attachment`` as for `receive`."""
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
        """Handle one frame of an attached client.

        Args:
            attachment: the attachment that received it; None for a POST whose downlink has ended.
            frame: data, or a control frame other than open, renew, send and poll.
            now: seconds.

        Returns:
            The frames to answer with: on WebSocket by `reply`, on HTTP in the POST's answer.

        Raises:
            ProtocolError: the frame is invalid and had no effect. The connection must end.
        """
        if self.state is _CLOSED or (attachment is not None and attachment.state is _ENDED):
            return []
        # `record_activity`, inlined for speed: this runs for every frame.
        self._received_at = now
        if attachment is not None:
            attachment.received_at = now
            attachment.pings = 0
        try:
            if isinstance(frame, Data):  # as nearly all are
                return self._receive_messages(attachment, frame)
            return self._receive_control(attachment, frame, now)
        except ForeignAck:
            self.handle_foreign_ack(attachment)
            return []
        except Gap:
            if attachment is None or not attachment.has_left:
                raise
            return []  # a POST with the `leave` has overtaken what this follows (LIV-6)

    def _receive_control(
        self, attachment: Attachment | None, frame: Oversized | ClientControl, now: float
    ) -> list[ServerControl]:
        match frame:
            case Oversized():
                self._rates.count(now)
                return self._receive_oversized(attachment, frame)
            case Ack():
                self.outgoing.check_ack(frame.ack)
                is_confirmed = attachment is None or attachment.state is _CONFIRMED
                if is_confirmed and frame.ack <= self.outgoing.acked:
                    self._rates.count(now)
                if attachment is None:
                    self.acknowledge(frame.ack)
                else:
                    attachment.client_received = max(attachment.client_received, frame.ack)
                    self.confirm(attachment)
            case Skip():
                return self._receive_messages(attachment, Data(frame.number, frame.ack, [NOTHING]))
            case Ping():
                self._rates.count(now)
                return [Pong(id=frame.id)]
            case Pong():
                self._rates.count(now)
            case Close():
                self._rates.count(now)
                self.attachments.check_may_send(attachment)
                self._receive_close(frame)
            case Leave():
                self._rates.count(now)
                self._receive_leave(attachment, now)
            case Bytes() | Open() | Renew() | Send() | Poll():
                raise ProtocolError(codes.BAD_FRAME, "this frame is not expected here")
            case _:
                assert_never(frame)
        return []

    def _receive_messages(self, attachment: Attachment | None, frame: Data) -> list[ServerControl]:
        """Receive the messages of a frame and the client's ack, or nothing (FRM-4).

        Returns:
            The refusal of those that nobody receives (DAT-7).
        """
        replies: list[ServerControl] = []
        if attachment is not None and attachment.state is not _CONFIRMED:
            self.attachments.check_may_send(attachment)
        outgoing, incoming = self.outgoing, self.incoming
        seq, ack, messages, size = frame.seq, frame.ack, frame.messages, frame.size
        outgoing.check_ack(ack)
        count = len(messages)
        if self.peer_close is not None and seq + count - 1 > self.peer_close.last:
            raise ProtocolError(codes.BAD_FRAME, "a number above the last of your close")
        if seq != incoming.received + 1 and (repeated := incoming.repeated(seq, count)):
            last = seq + count - 1
            if repeated == count and ack <= outgoing.acked:
                self._rates.count_dropped(last, self._received_at)
            if (
                (unread := self._unread) is not None
                and repeated == count
                and messages[0] is not NOTHING
                and unread.is_followed(seq, last)
                and last <= incoming.handled + self.limits.window_messages
            ):
                error = unread.extend(last)
                if attachment is None or attachment.can_tell_again:
                    replies = [error]  # else with the first of them that comes again
            messages = messages[repeated:]
            size = json_size(messages)
        unread = self._unread
        if messages and unread is not None and messages[0] is not NOTHING:
            if unread.has_refused(len(messages)):
                self._rates.count(self._received_at)
            replies = [unread.refuse(len(messages))]
        elif messages:
            incoming.take(len(messages), size)
            self.attachments.end_other_clients()
            if unread is not None:  # it is a `skip`
                self._unread = unread.skipped()
            # When closing, our close has declared them unhandled (CLS-3).
            if self.state is not _CLOSING and (unread is None or unread.is_reading):
                self.inbox.keep(messages, frame)
            else:
                incoming.drop_waiting()
        if ack > outgoing.acked:
            self.acknowledge(ack)
        return replies

    def handle_foreign_ack(self, attachment: Attachment | None) -> None:
        """Handle an ack for numbers that were never sent (MRK-5, RES-7).

        It resets the session; from a client that does not own the session, it ends only the
        connection.
        """
        if attachment is None or attachment.client == self.attachments.owner:
            self.reset(ResetReason.FOREIGN)
        else:
            self.attachments.end(attachment, codes.RESET, reset_without_marks(ResetReason.FOREIGN))

    def _receive_oversized(
        self, attachment: Attachment | None, frame: Oversized
    ) -> list[ServerControl]:
        replies = self._receive_messages(attachment, frame.before)
        if replies or self.state is _CLOSED or not self.incoming.refuse(frame.number):
            return replies
        return [
            Error(
                code=codes.TOO_LARGE.name,
                message=f"the message exceeds the server's Limits(message={self.limits.message})",
                number=frame.number,
                limit="message",
            )
        ]

    def _receive_close(self, frame: Close) -> None:
        self.outgoing.check_ack(frame.ack)
        if self.peer_close is None:
            if frame.last < self.incoming.received:
                raise ProtocolError(codes.BAD_NUMBER, "last is below what was received")
            self.peer_close = frame
            self.attachments.end_other_clients()
        self.state = advance(self.state, SessionStep.PEER_CLOSE)
        self.acknowledge(frame.ack)

    def _receive_leave(self, attachment: Attachment | None, now: float) -> None:
        """Let the session expire after ``limits.away``, unless another frame comes (LIV-6)."""
        if attachment is not None:
            attachment.has_left = True
        owned = attachment is None or attachment.client == self.attachments.owner
        if owned and self.peer_close is None:
            self._received_at = self._left_at = time_of_leave(now, self.limits)

    # Time

    def tick(self, now: float) -> None:
        """Apply what has become due: expiry, the end of closing, pings, dead connections."""
        limits = self.limits
        if self.state is _CLOSED:
            return
        if self.closing is not None:
            if now >= self._closing_until:  # until then a resume still gets everything (CLS-1)
                self._finish(SessionStep.GIVE_UP, self.closing)
                return
        elif now - self._received_at >= limits.ttl:
            self.reset(ResetReason.EXPIRED, SessionStep.EXPIRE)
            return
        for attachment in list(self.attachments.live):
            match check(attachment, now, limits):
                case None:
                    pass
                case End(code, last):
                    self.attachments.end(attachment, code, last)
                case ping:
                    attachment.pings += 1
                    attachment.written_at = now
                    attachment.control.append(encode_control(ping))

    def drain(self, retry_in: float) -> None:
        """Ask every client to leave its connection and to resume elsewhere (DRN-1)."""
        self.attachments.end_all(codes.RESTART, Drain(retry_in=retry_in))
