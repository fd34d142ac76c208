"""Which connections have a session.

A client may attach several connections at a time, to see which of them works (ATT-2). Each is
*provisional* until the client answers on it. That confirms it, and ends those that were opened
before it (ATT-3). The client that confirmed last *owns* the session. Another client, which has a
copy of the credential, can take the session over only while the marks of both agree (ATT-6).

Pure: the caller passes the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.codec import encode_control
from transport.protocol.frames import (
    EncodedFrame,
    Error,
    Open,
    Reset,
    ResetReason,
    ServerControl,
    TransportKind,
    Verdict,
    error_frame,
    reset_without_marks,
)
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.undecided import undecided_error
from transport.protocol.states import (
    ATTACHMENT_TRANSITIONS,
    AttachmentState,
    AttachmentStep,
    transition,
)

_REPEATED = Error(
    code=codes.SUPERSEDED.name,
    message="this open was repeated on another connection: open again if you still read this one",
)
"""The last frame of a connection whose ``open`` was repeated (ATT-4). It names no attach: none was
confirmed, and nobody has taken the session over."""

MAX_PROVISIONAL = 3
"""How many attaches a client may race: one of each transport (ATT-2)."""


@dataclass(slots=True, eq=False)
class Attachment:
    """One connection's place in a session: what was written on it, and when it was last active.

    The attachment of a long poll outlives its polls. Only this package writes its fields:
    `Attachments` the state and the code, `Downlink` what was written and the polls,
    `ServerSession` the signs of life, pings included, and what the client has received. Any of them
    may append to ``control``.
    """

    number: int
    client: str
    transport: TransportKind
    cursor: int
    """The next downlink number to write on it."""
    attached_at: float
    client_received: int
    """The highest downlink number that its client has, by its ``open`` or its acks here."""
    verdict: Verdict
    kinds: tuple[str, ...] = ()
    """The kinds of ``item`` that its client takes (OPN-11)."""
    state: AttachmentState = AttachmentState.PROVISIONAL
    control: list[EncodedFrame] = field(default_factory=list)
    """Control frames that wait to be written."""
    refusal: tuple[EncodedFrame, Error] | None = None
    """The last reply, if it was an error: one that says the same and more takes its place."""
    last_poll_frames: list[EncodedFrame] = field(default_factory=list)
    """Control frames of the last poll's answer, which may have been lost (POL-2)."""
    ack_written: int = 0
    ack_since: float | None = None
    """When an ack started waiting to piggyback on data."""
    asked: int = 0
    """The last number that had been written when an ack was last asked for here (MRK-8)."""
    close_written: bool = False
    has_left: bool = False
    """Whether its client has said that it leaves. What comes then may have been overtaken."""
    received_at: float = 0.0
    written_at: float = 0.0
    pings: int = 0
    """Pings written since the last sign of life of the client."""
    poll: int = 0
    """The highest poll number (POL-2)."""
    writable: bool = False
    """Whether frames can be written: on long poll while a poll waits, elsewhere always."""
    posts: int = 0
    """The POSTs in hand whose answers bring the downlink: data does not wake the poll (POL-4)."""
    code: Code | None = None
    """Why it ended; None until it has, and until that may be told (`Attachments.owner_stored`)."""
    make_last: Callable[[], ServerControl] | None = None
    """Returns its last frame, which is made when it is written, so that it counts up to then."""

    @property
    def waiting_refusal(self) -> Error | None:
        """The last reply, if it is an error that is not written yet."""
        told = self.refusal
        return told[1] if told is not None and self.control[-1:] == [told[0]] else None

    @property
    def can_tell_again(self) -> bool:
        """Whether an error that says more than the last one costs no frame: on WebSocket it takes
        the place of one that waits; over HTTP there is one for each POST."""
        return self.transport is not TransportKind.WEBSOCKET or self.waiting_refusal is not None


class Attachments:
    """The connections that are attached to one session, and the client that owns it.

    Args:
        outgoing: the session's downlink.
        incoming: the session's uplink.

    Attributes:
        live: the attachments that have not ended, in the order in which they were opened.
        owner: the client that the session was opened for, or that confirmed last (ATT-3).
        confirmed: the number of the attach that was confirmed last; 0 if none was.
        stored_owner: the owner that the store has; None if no store keeps the session.
        written_owner: the owner that was written to it last.
        kinds: the kinds of ``item`` that the owner takes (OPN-11).
    """

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_withheld",
        "confirmed",
        "kinds",
        "live",
        "owner",
        "stored_owner",
        "written_owner",
    )

    def __init__(self, outgoing: SendBuffer, incoming: ReceiveWindow) -> None:
        self.live: list[Attachment] = []
        self.owner = ""
        self.kinds: tuple[str, ...] = ()
        self.confirmed = 0
        self.stored_owner: str | None = None
        self.written_owner: str | None = None
        self._withheld: list[Attachment] | None = None
        """Those that have ended as another client has taken the session, which is not stored."""
        self._outgoing = outgoing
        self._incoming = incoming

    @property
    def transport(self) -> TransportKind | None:
        """The transport of the newest attachment, a confirmed one before others."""
        newest = max(
            self.live,
            key=lambda one: (one.state is AttachmentState.CONFIRMED, one.number),
            default=None,
        )
        return newest.transport if newest is not None else None

    def refusal(self, frame: Open, *, peer_closed: bool) -> Reset | None:
        """Return the reset that refuses a client the session (RES-5, RES-7), or None to allow it.

        Args:
            frame: the ``open``.
            peer_closed: whether the owner has closed the session.

        Raises:
            ProtocolError: ``superseded`` (ATT-4).
        """
        self._check_number(frame)
        owned = frame.client == self.owner
        outgoing, incoming = self._outgoing, self._incoming
        if frame.received > outgoing.sent:
            return reset_without_marks(ResetReason.FOREIGN)
        if not owned and (frame.first_retained <= incoming.received or peer_closed):
            # The owner has already used the numbers that this client would send, or has closed the
            # session.
            return reset_without_marks(ResetReason.FOREIGN)
        if frame.received < outgoing.acked and not owned:
            return Reset(
                reason=ResetReason.TRIMMED,
                lost=[frame.received + 1, outgoing.shown],
                handled=incoming.shown,
                in_hand=None,  # the session lives on, and may be given more (RES-7)
            )
        if frame.first_retained > incoming.received + 1:
            return reset_without_marks(ResetReason.REWOUND)
        return None

    def attach(
        self, frame: Open, transport: TransportKind, now: float, verdict: Verdict
    ) -> Attachment:
        """Add a provisional attachment for a client that can have the session.

        Args:
            frame: the ``open``.
            transport: the transport that received it.
            now: seconds.
            verdict: NEW or RESET if the session was created for this client, which then owns it.

        Raises:
            ProtocolError: ``superseded`` (ATT-4).
        """
        self._check_number(frame)
        received = 0
        kinds = tuple(frame.kinds) if isinstance(frame.kinds, list) else ()
        if verdict is Verdict.RESUMED:
            received = frame.received
        else:
            self.owner, self.kinds = frame.client, kinds
            if self.stored_owner == "":
                self.stored_owner = self.written_owner = frame.client  # stored with the session
        if self.live:
            self._make_room(frame)
        sse = transport is TransportKind.SSE
        attachment = Attachment(
            number=frame.attach,
            client=frame.client,
            transport=transport,
            cursor=max(received, self._outgoing.acked) + 1,
            attached_at=now,
            client_received=received,
            verdict=verdict,
            kinds=kinds,
            # A stream's second event must follow its first (SSE-1): an ack, if nothing else.
            ack_written=-1 if sse else self._incoming.shown,
            ack_since=now if sse else None,
            received_at=now,
            written_at=now,
            writable=True,
        )
        self.live.append(attachment)
        return attachment

    def _check_number(self, frame: Open) -> None:
        if frame.attach <= self.confirmed:
            raise self._superseded()

    def _make_room(self, frame: Open) -> None:
        """End an attachment that ``frame`` repeats, and the oldest if too many are provisional."""
        for old in list(self.live):
            if (old.number, old.client) == (frame.attach, frame.client):
                self.end(old, codes.SUPERSEDED, _REPEATED)
        provisional = sorted(
            (one for one in self.live if one.state is AttachmentState.PROVISIONAL),
            key=lambda one: one.number,
        )
        if len(provisional) >= MAX_PROVISIONAL:
            self.end(
                provisional[0],
                codes.TOO_MANY,
                Error(
                    code=codes.TOO_MANY.name,
                    message="too many provisional attaches for this session",
                    limit="provisional",
                ),
            )

    def find(self, client: str, number: int) -> Attachment | None:
        """Return the attachment that a POST or poll names (ATT-7).

        Returns:
            None if it is the confirmed one and its downlink has ended.

        Raises:
            ProtocolError: ``superseded`` or ``not_attached``.
        """
        for attachment in self.live:
            if attachment.number == number and attachment.client == client:
                return attachment
        if number == self.confirmed and client == self.owner:
            return None
        if number <= self.confirmed:
            raise self._superseded()
        raise ProtocolError(codes.NOT_ATTACHED, "open this attach before you use it")

    def confirm(self, attachment: Attachment) -> None:
        """Confirm an attachment: it now has the session (ATT-3).

        Raises:
            ProtocolError: ``superseded`` (ATT-6): another client owns the session, and has
                acknowledged messages that this one has not received.
        """
        if attachment.state is not AttachmentState.PROVISIONAL:
            return
        if attachment.client != self.owner and self._outgoing.acked > attachment.client_received:
            raise self._end_superseded(attachment)
        _advance(attachment, AttachmentStep.CONFIRM)
        self.confirmed = attachment.number
        self.owner, self.kinds = attachment.client, attachment.kinds
        for other in list(self.live):
            if other is not attachment and other.number <= attachment.number:
                self._end_superseded(other)

    def check_may_send(self, attachment: Attachment | None) -> None:
        """Allow data before the attach is confirmed only in a new session (ATT-3, OPN-7).

        Raises:
            ProtocolError: ``bad_frame``, or ``superseded``.
        """
        if attachment is None or attachment.state is not AttachmentState.PROVISIONAL:
            return
        if attachment.verdict is Verdict.RESUMED:
            raise ProtocolError(
                codes.BAD_FRAME, "send an ack to confirm the attach before you send data"
            )
        if attachment.client != self.owner:
            raise self._end_superseded(attachment)

    def end_other_clients(self) -> None:
        """End the attachments of clients other than the owner, which has sent messages (ATT-6).

        Called before any ack on them would cover those messages.
        """
        for other in self.live:
            if other.client != self.owner:
                break
        else:
            return  # fast path: no other client is attached
        for other in [one for one in self.live if one.client != self.owner]:
            self._end_superseded(other)

    def end(self, attachment: Attachment, code: Code, last: ServerControl | None = None) -> None:
        """End a live attachment; ``last`` is the frame that reports why."""
        _advance(attachment, AttachmentStep.END)
        self.live.remove(attachment)
        attachment.code = code
        if last is not None:
            attachment.control.append(encode_control(last))

    def end_all(self, code: Code, last: ServerControl) -> None:
        """End every attachment, with ``last`` as its last frame."""
        for attachment in list(self.live):
            self.end(attachment, code, last)

    def detach(self, attachment: Attachment) -> None:
        """Remove an attachment whose connection is lost; the session waits for another (CLS-6)."""
        if attachment.state is not AttachmentState.ENDED:
            self.end(attachment, codes.NOT_ATTACHED)
        elif attachment.code is None:
            assert self._withheld is not None
            self._withheld.remove(attachment)
            attachment.code = codes.NOT_ATTACHED

    @property
    def is_taken_over(self) -> bool:
        """Whether another client has taken the session, and the store may not have that yet."""
        owner, stored = self.owner, self.stored_owner
        return stored is not None and (owner != stored or owner != self.written_owner)

    def owner_stored(self, owner: str) -> None:
        """Record that the store has this owner, and tell those that it has superseded."""
        self.stored_owner = owner
        if not self.is_taken_over:
            withheld, self._withheld = self._withheld, None
            for attachment in withheld or ():
                attachment.code = codes.SUPERSEDED
                attachment.control.append(encode_control(error_frame(self._superseded())))

    def _end_superseded(self, attachment: Attachment) -> ProtocolError:
        """End an attachment in favor of the confirmed one; return the error that reports it."""
        error = self._superseded()
        if self.is_taken_over:
            _advance(attachment, AttachmentStep.END)
            self.live.remove(attachment)
            self._withheld = [*(self._withheld or ()), attachment]
        else:
            self.end(attachment, codes.SUPERSEDED, error_frame(error))
        return error

    def _superseded(self) -> ProtocolError:
        if self.is_taken_over:
            return undecided_error()
        return ProtocolError(
            codes.SUPERSEDED,
            "a newer attach has taken over the session; see `attach` and `client`",
            attach=max(1, self.confirmed),
            client=self.owner,
        )


def _advance(attachment: Attachment, step: AttachmentStep) -> None:
    attachment.state = transition(
        ATTACHMENT_TRANSITIONS, attachment.state, step, "session's attachment"
    )
