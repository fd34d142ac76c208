"""The server's half of a session: marks, buffers, attachments, and what each frame does to them.

Pure: frames, calls and ``now`` (seconds of any monotonic clock) go in; `Session.transmit` says what
to write on a connection, `Session.receive` what to answer, `Session.tick` moves deadlines. A driver
owns sockets, tasks and the clock, and after each input asks three questions: which attachments are
`due`, is there a message to `take`, has the session `ending`?
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from msgspec import UNSET

from transport import codes
from transport.codes import Code
from transport.errors import ChannelClosed, Foreign, LocalProtocolError, ProtocolError
from transport.limits import Limits
from transport.protocol.buffer import ReceiveCursor, SendBuffer
from transport.protocol.codec import Oversized, Payload, encode_control
from transport.protocol.frames import (
    Ack,
    By,
    Carrier,
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
    Reset,
    ResetReason,
    Send,
    ServerControl,
    Skip,
    Verdict,
    Wire,
)
from transport.protocol.states import State, Step, advance

VERSION = 1
MAX_PROVISIONAL = 3
"""Attaches that are raced beside one another: one of each transport (ATT-2)."""


class Status(Enum):
    """What an attachment is (ATT-2, ATT-3)."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Attachment:
    """One connection's place in a session: how far it was written, and how it does.

    A long poll's attachment outlives its polls.
    """

    number: int
    client: str
    carrier: Carrier
    cursor: int
    """The next downlink number to write on it."""
    since: float
    received_at_open: int
    verdict: Verdict
    status: Status = Status.PROVISIONAL
    control: list[Wire] = field(default_factory=list)
    """Control frames that wait to be written."""
    ack_written: int = 0
    ack_since: float | None = None
    """When an ack began to wait for data to ride with."""
    close_written: bool = False
    heard: float = 0.0
    written: float = 0.0
    pings: int = 0
    """Pings since the client was heard."""
    poll: int = 0
    """The highest poll number (POL-2)."""
    parked: bool = False
    """Whether a poll waits to be answered; always True on WebSocket and SSE."""
    code: Code | None = None
    """Why it ended, once it has."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended: by ``close``, or by a reset."""

    code: int
    reason: str
    by: By
    close: Close | None = None
    reset: ResetReason | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What a session leaves behind (RES-8)."""

    ending: Ending
    handled: int
    in_hand: int
    last: int

    def verdict(self, received: int) -> Reset:
        """What became of the session, to a client that holds the downlink up to ``received``."""
        lost = [received + 1, self.last] if received < self.last else []
        return Reset(
            reason=self.ending.reset or ResetReason.UNKNOWN,
            lost=lost,
            handled=self.handled,
            in_hand=self.in_hand,
        )


class Waiting(Enum):
    """There is no message to take now."""

    TOKEN = 0


WAITING = Waiting.TOKEN


class _Skipped(Enum):
    TOKEN = 0


_SKIPPED = _Skipped.TOKEN


class Session:
    """One session, as the server holds it.

    Args:
        session_id: the public id.
        limits: bounds and times.
        now: when it was opened.
    """

    __slots__ = (
        "_attachments",
        "_close",
        "_confirmed",
        "_confirmed_client",
        "_deadline",
        "_heard",
        "_inbox",
        "_peer_close",
        "ending",
        "id",
        "incoming",
        "limits",
        "outgoing",
        "replayed",
        "state",
    )

    def __init__(self, session_id: str, limits: Limits, now: float) -> None:
        self.id = session_id
        self.limits = limits
        self.state = State.OPEN
        self.outgoing = SendBuffer(limits)
        self.incoming = ReceiveCursor(limits)
        self.ending: Ending | None = None
        self.replayed = 0
        self._inbox: deque[Json] = deque()
        self._attachments: list[Attachment] = []
        self._confirmed = 0
        self._confirmed_client: str | None = None
        self._heard = now
        self._close: Close | None = None
        self._peer_close: Close | None = None
        self._deadline: float | None = None

    # What a driver asks

    @property
    def attachments(self) -> list[Attachment]:
        """The attachments that stand, in no order."""
        return self._attachments

    @property
    def carrier(self) -> Carrier | None:
        """The transport of the newest attachment that stands, the confirmed one before others."""
        best = max(
            self._attachments,
            key=lambda one: (one.status is Status.CONFIRMED, one.number),
            default=None,
        )
        return best.carrier if best is not None else None

    def due(self, attachment: Attachment, now: float) -> bool:
        """Whether `transmit` would write something on it now."""
        if attachment.control or attachment.status is Status.ENDED:
            return True
        if not attachment.parked:
            return False
        if attachment.cursor <= self.outgoing.last:
            return True
        if self._close is not None and not attachment.close_written:
            return True
        return self._ack_due(attachment, now)

    def ack_deadline(self, attachment: Attachment) -> float | None:
        """When a lone ack that waits for data becomes due (MRK-6), None where none waits."""
        since = attachment.ack_since
        return None if since is None else since + self.limits.ack_delay

    def transmit(self, attachment: Attachment, now: float) -> list[Wire]:
        """All that the connection is to be written now, in order; empty where nothing is due."""
        wires = attachment.control
        if wires:
            attachment.control = []
        if attachment.status is Status.ENDED or not attachment.parked:
            return wires
        outgoing = self.outgoing
        if attachment.cursor <= outgoing.last and outgoing.acked < outgoing.last:
            cursor = max(attachment.cursor, outgoing.acked + 1)
            self.replayed += max(0, outgoing.sent - cursor + 1)
            wires += outgoing.frames(
                cursor,
                self.incoming.handled,
                binary=attachment.carrier is Carrier.WEBSOCKET,
            )
            self._acknowledged_on(attachment)
        elif self._ack_due(attachment, now):
            wires.append(encode_control(Ack(ack=self.incoming.handled)))
            self._acknowledged_on(attachment)
        attachment.cursor = outgoing.last + 1
        if self._close is not None and not attachment.close_written:
            wires.append(encode_control(self._close))
            attachment.close_written = True
        if wires:
            attachment.written = now
        return wires

    def _ack_due(self, attachment: Attachment, now: float) -> bool:
        handled = self.incoming.handled
        if handled <= attachment.ack_written:
            return False
        if attachment.carrier is Carrier.WEBSOCKET:
            return True
        if attachment.ack_since is None:
            attachment.ack_since = now
        return (
            now - attachment.ack_since >= self.limits.ack_delay
            or handled - attachment.ack_written >= self.limits.window_messages // 4
        )

    def _acknowledged_on(self, attachment: Attachment) -> None:
        attachment.ack_written = self.incoming.handled
        attachment.ack_since = None

    # The application's side

    def send(self, payload: Payload) -> int:
        """Number a message and keep it until it is acknowledged.

        The caller has seen to it that there is room (`SendBuffer.has_room`).

        Raises:
            ChannelClosed: the session is closing or over.
        """
        if self.state is State.CLOSING or self.state is State.CLOSED:
            raise self.closed()
        return self.outgoing.append(payload)

    def take(self) -> Json | Waiting:
        """The handler's next message; what it was given before is now handled (MRK-2).

        Returns:
            The message, or `WAITING`.

        Raises:
            ChannelClosed: there will be no more.
        """
        incoming = self.incoming
        if self.state is State.CLOSING or self.state is State.CLOSED:
            raise self.closed()
        incoming.finish()
        inbox = self._inbox
        while inbox:
            message = inbox.popleft()
            incoming.hand()
            if message is not _SKIPPED:
                return message
            incoming.finish()
        if self._peer_close is not None and incoming.received >= self._peer_close.last:
            raise self.closed()
        return WAITING

    def close(self, code: int, reason: str, by: By, now: float, *, failed: bool = False) -> None:
        """Give no more numbers; deliver what was given, then end (CLS-1, CLS-3).

        Args:
            code: 1000 or 3000-4999 by the app, or of the table of codes by the protocol.
            reason: for people, at most 123 bytes.
            by: whose code it is.
            now: seconds.
            failed: whether the handler failed with a message in its hand, whose fate is unknown.
        """
        incoming = self.incoming
        if not failed:
            incoming.finish()
        self.state = advance(self.state, Step.LOCAL_CLOSE)
        self._close = Close(
            code=code,
            reason=reason,
            by=by,
            last=self.outgoing.last,
            ack=incoming.handled,
            in_hand=incoming.handed if failed and incoming.handed > incoming.handled else UNSET,
        )
        self._inbox.clear()
        self._deadline = now + self.limits.closing
        self._end_if_acknowledged()

    def closed(self) -> ChannelClosed:
        """The error that tells how the session ended, or is ending."""
        if self.ending is not None:
            return ChannelClosed(self.ending.code, self.ending.reason)
        close = self._peer_close or self._close
        if close is None:
            raise LocalProtocolError("the session is not closing")
        return ChannelClosed(close.code, close.reason)

    @property
    def peer_closed_with(self) -> Close | None:
        """The client's ``close``, once it has come."""
        return self._peer_close

    # Attaching

    def attach(
        self,
        frame: Open,
        carrier: Carrier,
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
            carrier: the transport it came over.
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
        if verdict is Verdict.RESUMED and (refusal := self._refusal(frame)) is not None:
            if frame.client == self._confirmed_client:
                self.reset(refusal.reason)
            return refusal
        if frame.attach <= self._confirmed:
            raise self._superseded()
        for old in list(self._attachments):
            if (old.number, old.client) == (frame.attach, frame.client):
                self._end(old, codes.SUPERSEDED)
        provisional = sorted(
            (one for one in self._attachments if one.status is Status.PROVISIONAL),
            key=lambda one: one.number,
        )
        if len(provisional) >= MAX_PROVISIONAL:
            self._end(provisional[0], codes.SUPERSEDED, self._superseded_frame(frame))
        incoming = self.incoming
        attachment = Attachment(
            number=frame.attach,
            client=frame.client,
            carrier=carrier,
            cursor=max(frame.received, self.outgoing.acked) + 1,
            since=now,
            received_at_open=incoming.received,
            verdict=verdict,
            ack_written=incoming.handled,
            heard=now,
            written=now,
            parked=True,
        )
        attachment.control.append(
            encode_control(
                Opened(
                    version=VERSION,
                    id=self.id,
                    attach=frame.attach,
                    client=frame.client,
                    verdict=verdict,
                    received=incoming.received,
                    handled=incoming.handled,
                    sent=self.outgoing.last,
                    epoch=epoch,
                    limits=self.limits.advertised_limits(),
                    timings=self.limits.advertised_timings(),
                    session=token if token is not None else UNSET,
                    reset=reset if reset is not None else UNSET,
                )
            )
        )
        self._attachments.append(attachment)
        self._heard = now
        return attachment

    def _refusal(self, frame: Open) -> Reset | None:
        """Why this client cannot have the session, None where it can (RES-5)."""
        mine = frame.client == self._confirmed_client
        if frame.received > self.outgoing.sent:
            reason = ResetReason.FOREIGN
        elif frame.received < self.outgoing.acked and not mine:
            reason = ResetReason.TRIMMED
        elif frame.first_retained > self.incoming.received + 1:
            reason = ResetReason.REWOUND
        else:
            return None
        known = reason is ResetReason.TRIMMED
        return Reset(
            reason=reason,
            lost=[frame.received + 1, self.outgoing.acked] if known else None,
            handled=self.incoming.handled if known else None,
            in_hand=self.incoming.handed if known else None,
        )

    def confirm(self, attachment: Attachment) -> None:
        """The client goes on with this attach: it has the session (ATT-3).

        Raises:
            ProtocolError: ``superseded`` (ATT-6): another client's session has moved meanwhile.
        """
        if attachment.status is not Status.PROVISIONAL:
            return
        if (
            self._confirmed_client not in (None, attachment.client)
            and self.incoming.received != attachment.received_at_open
        ):
            raise self._superseded()
        attachment.status = Status.CONFIRMED
        self._confirmed = attachment.number
        self._confirmed_client = attachment.client
        for other in list(self._attachments):
            if other is not attachment and other.number <= attachment.number:
                self._end(other, codes.SUPERSEDED, self._error(self._superseded()))

    def find(self, client: str, number: int) -> Attachment | None:
        """The attachment that a POST or poll names (ATT-7).

        Returns:
            None where it is the confirmed one and its downlink has ended.

        Raises:
            ProtocolError: ``superseded`` or ``not_attached``.
        """
        for attachment in self._attachments:
            if attachment.number == number and attachment.client == client:
                return attachment
        if number == self._confirmed and client == self._confirmed_client:
            return None
        if number <= self._confirmed:
            raise self._superseded()
        raise ProtocolError(codes.NOT_ATTACHED, "open this attach before you use it")

    def detach(self, attachment: Attachment) -> None:
        """The connection is gone. The session waits for another (CLS-6)."""
        attachment.status = Status.ENDED
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def _end(self, attachment: Attachment, code: Code, last: ServerControl | None = None) -> None:
        """End a connection from our side; ``last`` is the frame that says why."""
        attachment.code = code
        if last is not None:
            attachment.control.append(encode_control(last))
        self.detach(attachment)

    def _superseded(self) -> ProtocolError:
        return ProtocolError(
            codes.SUPERSEDED,
            "the session was attached again, under the number and by the client that are named",
            attach=self._confirmed,
            client=self._confirmed_client,
        )

    def _superseded_frame(self, frame: Open) -> Error:
        return Error(
            code=codes.SUPERSEDED.name,
            message="too many attaches of this session are raced",
            attach=frame.attach,
            client=frame.client,
        )

    @staticmethod
    def _error(error: ProtocolError) -> Error:
        return error_frame(error)

    # Frames of the client

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
            What to answer at once: on WebSocket by the same connection, on HTTP in the POST's answer.

        Raises:
            ProtocolError: the connection ends with it. Nothing of the frame was taken.
        """
        self._heard = now
        if attachment is not None:
            if attachment.status is Status.ENDED:
                return []
            attachment.heard = now
            attachment.pings = 0
        try:
            return self._receive(attachment, frame, now)
        except Foreign:
            self.reset(ResetReason.FOREIGN)
            return []

    def _receive(
        self,
        attachment: Attachment | None,
        frame: Data | Oversized | ClientControl,
        now: float,
    ) -> list[ServerControl]:
        match frame:
            case Data():
                self._data(attachment, frame)
            case Oversized():
                return self._oversized(attachment, frame)
            case Ack():
                if attachment is not None:
                    self.confirm(attachment)
                self._acknowledge(frame.ack)
            case Skip():
                self._may_send(attachment)
                self._acknowledge(frame.ack)
                if not self.incoming.take(frame.number, 1, 0):
                    self._inbox.append(_SKIPPED)
            case Ping():
                return [Pong(id=frame.id)]
            case Pong():
                pass
            case Close():
                self._may_send(attachment)
                self._peer_closes(frame)
            case Open() | Renew() | Send() | Poll():
                raise ProtocolError(codes.BAD_FRAME, "this frame has no place here")
            case _:
                raise ProtocolError(codes.BAD_FRAME, "this frame has no place here")
        return []

    def _data(self, attachment: Attachment | None, frame: Data) -> None:
        self._may_send(attachment)
        self._acknowledge(frame.ack)
        if not frame.messages:
            return
        if self._peer_close is not None and frame.seq > self._peer_close.last:
            raise ProtocolError(codes.BAD_FRAME, "a number above the last of your close")
        repeated = self.incoming.take(frame.seq, len(frame.messages), frame.size)
        if self.state is State.CLOSING or self.state is State.CLOSED:
            return  # CLS-3: never handled, and the close's ack has said so
        if repeated == 0:
            self._inbox.extend(frame.messages)
        else:
            self._inbox.extend(frame.messages[repeated:])

    def _oversized(self, attachment: Attachment | None, frame: Oversized) -> list[ServerControl]:
        self._data(attachment, frame.before)
        if not self.incoming.refuse(frame.number):
            return []
        return [
            Error(
                code=codes.TOO_LARGE.name,
                message=f"a message has at most {self.limits.message} bytes",
                number=frame.number,
                limit="message",
            )
        ]

    def _may_send(self, attachment: Attachment | None) -> None:
        """Before an attach is confirmed only a new session takes data on it (ATT-3, OPN-7)."""
        if (
            attachment is not None
            and attachment.status is Status.PROVISIONAL
            and attachment.verdict is Verdict.RESUMED
        ):
            raise ProtocolError(codes.BAD_FRAME, "confirm the attach by an ack before you send")

    def _acknowledge(self, number: int) -> None:
        if self.outgoing.acknowledge(number):
            self._end_if_acknowledged()

    def _peer_closes(self, frame: Close) -> None:
        self._acknowledge(frame.ack)
        if self.state is State.CLOSED:
            return
        if self._peer_close is None:
            if frame.last < self.incoming.received:
                raise ProtocolError(codes.BAD_NUMBER, "last is below what was received")
            self._peer_close = frame
        self.state = advance(self.state, Step.PEER_CLOSE)

    def _end_if_acknowledged(self) -> None:
        close = self._close
        if self.state is State.CLOSING and close and self.outgoing.acked >= close.last:
            self._finish(Step.ALL_ACKNOWLEDGED, close)

    # HTTP

    def answer(self, attachment: Attachment | None) -> Ack:
        """The first frame of a POST's answer (SND-2)."""
        if attachment is not None:
            self._acknowledged_on(attachment)
        return Ack(
            ack=self.incoming.handled,
            received=self.incoming.received,
            sent=self.outgoing.sent if attachment is None else attachment.cursor - 1,
            attached=attachment is not None,
        )

    def poll(self, attachment: Attachment, frame: Poll, now: float) -> bool:
        """Begin a poll (POL-2).

        Returns:
            False where it is older than one that came before, and is to be answered empty.
        """
        self._heard = attachment.heard = now
        attachment.pings = 0
        self.confirm(attachment)
        if frame.poll < attachment.poll:
            return False
        try:
            self._acknowledge(frame.ack)
        except Foreign:
            self.reset(ResetReason.FOREIGN)
            return True
        attachment.poll = frame.poll
        attachment.cursor = max(frame.ack, self.outgoing.acked) + 1
        attachment.close_written = False
        attachment.parked = True
        return True

    def poll_frames(self, attachment: Attachment, now: float) -> list[Wire]:
        """The body that answers a parked poll: never empty, for a lone ack stands for nothing."""
        wires = self.transmit(attachment, now)
        if not wires:
            wires = [encode_control(Ack(ack=self.incoming.handled))]
            self._acknowledged_on(attachment)
        attachment.parked = False
        attachment.written = now
        return wires

    # Time and ends

    def tick(self, now: float) -> None:
        """Do what has become due: expiry, closing, pings, connections that are dead or too old."""
        limits = self.limits
        if self.state is State.CLOSED:
            return
        if now - self._heard >= limits.ttl:
            self._expire()
            return
        if self._deadline is not None and now >= self._deadline and self._close is not None:
            self._finish(Step.GIVE_UP, self._close)
            return
        for attachment in list(self._attachments):
            if attachment.carrier is Carrier.LONGPOLL:
                self._tick_poll(attachment, now)
            else:
                self._tick_stream(attachment, now)

    def _tick_stream(self, attachment: Attachment, now: float) -> None:
        heartbeat = self.limits.heartbeat
        if attachment.carrier is Carrier.SSE and now - attachment.since >= self.limits.stream:
            self._end(attachment, codes.RESTART, Drain(retry_in=0.0))
        elif now - attachment.heard >= heartbeat * 3:
            self._end(
                attachment,
                codes.TIMEOUT,
                Error(code=codes.TIMEOUT.name, message="two pings were not answered"),
            )
        elif now - attachment.written >= heartbeat or (
            now - attachment.heard >= heartbeat * (attachment.pings + 1)
        ):
            attachment.pings += 1
            attachment.written = now
            attachment.control.append(encode_control(Ping()))

    def _tick_poll(self, attachment: Attachment, now: float) -> None:
        quiet = now - max(attachment.heard, attachment.written)
        if not attachment.parked and quiet >= self.limits.heartbeat * 2 + 5:
            self._end(attachment, codes.TIMEOUT)

    def deadline_for_handler(self, now: float) -> float:
        """When a handler that outlives its session is cancelled."""
        return now + self.limits.closing

    def drain(self, retry_in: float) -> None:
        """Tell every connection to leave and resume elsewhere (DRN-1)."""
        for attachment in list(self._attachments):
            self._end(attachment, codes.RESTART, Drain(retry_in=retry_in))

    def reset(self, reason: ResetReason) -> None:
        """End the session, and tell what was lost (RES-4)."""
        self.state = advance(self.state, Step.RESET)
        self._bury(
            Ending(code=codes.RESET.websocket or 0, reason=reason, by="protocol", reset=reason)
        )
        verdict = self.tombstone().verdict(self.outgoing.acked)
        if reason in (ResetReason.FOREIGN, ResetReason.REWOUND):
            verdict = Reset(reason=reason, lost=None, handled=None, in_hand=None)
        for attachment in list(self._attachments):
            self._end(attachment, codes.RESET, verdict)

    def _expire(self) -> None:
        self.state = advance(self.state, Step.EXPIRE)
        reason = ResetReason.EXPIRED
        self._bury(
            Ending(code=codes.RESET.websocket or 0, reason=reason, by="protocol", reset=reason)
        )
        for attachment in list(self._attachments):
            self._end(attachment, codes.RESET, self.tombstone().verdict(self.outgoing.acked))

    def _finish(self, step: Step, close: Close) -> None:
        self.state = advance(self.state, step)
        self._bury(Ending(code=close.code, reason=close.reason, by=close.by, close=close))
        for attachment in list(self._attachments):
            if not attachment.close_written:
                attachment.control.append(encode_control(close))
            self._end(attachment, codes.NORMAL)

    def _bury(self, ending: Ending) -> None:
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
        )


def error_frame(error: ProtocolError) -> Error:
    """The ``error`` frame that tells a client of ``error``."""
    return Error(code=error.code.name, message=error.message, **error.extra)  # type: ignore[arg-type]


