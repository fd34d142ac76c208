"""Handles POSTs and polls from a client attached over HTTP.

Pure: the caller finds the session that a request names, does the waiting, and passes the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import UNSET

from transport import codes
from transport.errors import ForeignAck, ProtocolError
from transport.protocol.codec import Oversized, encode_control
from transport.protocol.frames import (
    Ack,
    Data,
    EncodedFrame,
    Poll,
    Renew,
    Send,
    ServerControl,
    Skip,
    TransportKind,
)
from transport.protocol.journal import is_epoch_of
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone
from transport.protocol.server.undecided import undecided_error
from transport.protocol.server.unread import is_told_again
from transport.protocol.states import AttachmentState

# Used for every POST; looking up an enum member costs as much as a call.
_CONFIRMED, _ENDED = AttachmentState.CONFIRMED, AttachmentState.ENDED
_LONGPOLL = TransportKind.LONGPOLL


def require_session(
    frame: Send | Poll, session: ServerSession | None, *, epoch: str
) -> ServerSession:
    """Return the session that a request names, if it lives.

    Args:
        frame: the ``send`` or the ``poll``.
        session: the session; None if it is not here, or if the credential is not valid.
        epoch: the store's epoch.

    Raises:
        ProtocolError: ``wrong_process``, or ``unknown_session``: one answer for a session that is
            unknown or has ended, and for a wrong credential (RES-9). ``unavailable``: its end is
            not stored yet.
    """
    if session is not None:
        if session.ending is None:
            return session
        if session.downlink.is_silent:
            raise undecided_error()
    if isinstance(frame.epoch, str) and not is_epoch_of(frame.epoch, epoch):
        raise ProtocolError(
            codes.WRONG_PROCESS,
            "this session belongs to another process, or to one that has restarted",
        )
    raise unknown_session()


def polled_attachment(frame: Poll, session: ServerSession) -> Attachment:
    """Return the attachment that a poll names (ATT-7).

    Raises:
        ProtocolError: ``superseded``, ``not_attached``, or ``bad_frame`` if it is no long poll.
    """
    attachment = session.attachments.find(frame.client, frame.attach)
    if attachment is None:
        raise ProtocolError(codes.NOT_ATTACHED, "this attach has ended: open another")
    if attachment.transport is not TransportKind.LONGPOLL:
        raise ProtocolError(codes.BAD_FRAME, "this attach is not a long poll")
    return attachment


def begin_poll(session: ServerSession, attachment: Attachment, frame: Poll, now: float) -> bool:
    """Begin a poll (POL-2).

    Returns:
        False if it is older than one received before: its answer is empty.

    Raises:
        ProtocolError: ``superseded`` (ATT-6).
    """
    session.record_activity(attachment, now)
    if frame.poll < attachment.poll:
        return False
    if _confirm_by_mark(session, attachment, frame.ack):
        session.downlink.begin_poll(attachment, frame)
        session.acknowledge(attachment.client_received)
    return True


def _confirm_by_mark(session: ServerSession, attachment: Attachment | None, mark: int) -> bool:
    """Confirm an attach by a request that names its client's mark (ATT-3).

    Returns:
        False if the mark belongs to another session (MRK-5).
    """
    try:
        session.outgoing.check_ack(mark)
    except ForeignAck:
        session.handle_foreign_ack(attachment)
        return False
    if attachment is not None:
        if attachment.client_received < mark:
            attachment.client_received = mark
        if attachment.state is not _CONFIRMED:
            session.attachments.confirm(attachment)
    return True


def split_header(frames: Sequence[Any]) -> tuple[Send, list[Any]]:
    """Return the ``send`` of a POST, and the frames after it (SND-1).

    Args:
        frames: the decoded lines; an invalid line is replaced by its `ProtocolError`.

    Raises:
        ProtocolError: the first line is not a ``send``.
    """
    header, *rest = frames
    if type(header) is Send:
        return header, rest
    if isinstance(header, ProtocolError):
        raise header
    raise ProtocolError(codes.BAD_FRAME, "the first line is the send frame")


def answer_ended(
    header: Send, frames: Sequence[Any], ended: Tombstone | None
) -> list[EncodedFrame]:
    """Return the answer to a POST for a session that was closed: its final marks (SND-6).

    So the last ``close`` of a client is taken, though the session ended without it.

    Args:
        header: the ``send``.
        frames: the frames after it, see `split_header`.
        ended: how the session ended; None if it is not known, or has not ended.

    Raises:
        ProtocolError: ``unknown_session``: the session was not closed, or is another client's; or
            some of the frames were not taken.
    """
    if (
        ended is None
        or ended.ending.close is None
        or header.client != ended.owner
        or not all(_was_taken(frame, ended.received) for frame in frames)
    ):
        raise unknown_session()
    marks = Ack(ack=ended.handled, received=ended.received, sent=ended.last, attached=False)
    return [encode_control(marks)]


def _was_taken(frame: Any, received: int) -> bool:
    """Whether a frame is a copy of one that was taken, or asks for nothing to be taken."""
    match frame:
        case Data(seq, _, messages):
            return seq + len(messages) - 1 <= received
        case Skip(number=number):
            return number <= received
        case _:
            return not isinstance(frame, (ProtocolError, Oversized))


class Post:
    """The frames of one POST, handled in order, up to the first that is invalid (SND-3).

    Call `take`. Each time it returns a ``renew``, check the credentials, call `reattach`, and call
    `take` again. Then call `hold_downlink`, wait for the handler, and call `answer`. If the POST
    fails or is cancelled instead, call `release_downlink`.

    Args:
        header: the ``send``.
        frames: the frames after it, see `split_header`.
        session: the session that the header names.

    Attributes:
        attachment: the attachment that the header names; None before `take`, and if its downlink
            has ended (ATT-7).
        has_data: whether there were messages: the answer may then wait for the handler (SND-2).
    """

    def __init__(self, header: Send, frames: Sequence[Any], session: ServerSession) -> None:
        self.attachment: Attachment | None = None
        self.has_data = False
        self._header = header
        self._session = session
        self._frames = list(frames)
        self._has_begun = False
        self._held: Attachment | None = None
        self._replies: list[ServerControl] = []

    def take(self, now: float) -> Renew | None:
        """Handle the frames up to the next ``renew``, and return that; None after the last frame.

        Raises:
            ProtocolError: a frame is invalid; ``superseded`` or ``not_attached``; or
                ``unknown_session``: the header or one of the frames has a mark of another session,
                and those after it were not handled.
        """
        session = self._session
        frames = self._frames
        if not self._has_begun:
            self._has_begun = True
            self.reattach()
            self._begin(now)
        while frames:
            frame = frames.pop(0)  # not kept: its messages take more memory here than in the inbox
            if type(frame) is Data:  # as nearly all are
                self.has_data = True
            elif isinstance(frame, ProtocolError):
                raise frame
            elif type(frame) is Renew:
                return frame
            replies = session.receive(self.attachment, frame, now)
            if replies:
                self._reply(replies)
        if session.ending is not None:
            self._check_not_reset()
        mark = self._header.ack
        if mark is not UNSET and mark > session.outgoing.acked:  # last: it may end the session
            session.acknowledge(mark)
        return None

    def _reply(self, replies: Iterable[ServerControl]) -> None:
        for reply in replies:
            if self._replies and is_told_again(self._replies[-1], reply):
                self._replies.pop()
            self._replies.append(reply)

    def _begin(self, now: float) -> None:
        """Confirm the attach; the mark that the header names is acknowledged later."""
        session, attachment, mark = self._session, self.attachment, self._header.ack
        session.record_activity(attachment, now)
        if mark is not UNSET:
            if not _confirm_by_mark(session, attachment, mark):
                raise undecided_error() if session.downlink.is_silent else unknown_session()
        elif attachment is not None:
            session.confirm(attachment)

    def _check_not_reset(self) -> None:
        session = self._session
        if session.ending is not None and session.ending.reset is not None:
            raise undecided_error() if session.downlink.is_silent else unknown_session()

    def reattach(self) -> None:
        """Look for the attachment again: it may have ended while the credentials were checked.

        Raises:
            ProtocolError: ``superseded`` or ``not_attached``.
        """
        self.attachment = self._session.attachments.find(self._header.client, self._header.attach)

    def hold_downlink(self) -> None:
        """Let data wait for the answer, which can bring it while a poll stays parked (POL-4)."""
        attachment = self.attachment
        if (
            attachment is not None
            and attachment.transport is _LONGPOLL
            and self._header.ack is not UNSET
        ):
            attachment.posts += 1
            self._held = attachment

    def release_downlink(self) -> None:
        """Let data wake the poll again; the caller wakes what is due. Idempotent."""
        held, self._held = self._held, None
        if held is not None:
            held.posts -= 1

    def answer(self) -> list[EncodedFrame]:
        """Return the answer: the state of the downlink, the replies, then data (SND-2, POL-4).

        Raises:
            ProtocolError: ``unknown_session``: the session was reset since, and with it what it had
                taken (SND-3).
        """
        session, attachment, held = self._session, self.attachment, self._held
        if session.ending is not None:
            self._check_not_reset()
        if attachment is not None and attachment.state is _ENDED:
            attachment = None
        data: list[EncodedFrame] = []
        if held is not None:
            self._held = None
            held.posts -= 1
            if attachment is not None:
                data = session.downlink.data_beside_poll(attachment)
        marks = encode_control(session.downlink.answer_post(attachment))
        return [marks, *[encode_control(reply) for reply in self._replies], *data]


def unknown_session() -> ProtocolError:
    """Return the error of a request whose session is unknown, or has ended (RES-9)."""
    return ProtocolError(codes.UNKNOWN_SESSION, "there is no such session: open it again")
