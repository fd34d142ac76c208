"""Handles POSTs and polls from a client attached over HTTP.

Pure: the caller finds the session that a request names, does the waiting, and passes the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.codec import encode_control
from transport.protocol.frames import (
    Data,
    EncodedFrame,
    Poll,
    Renew,
    Send,
    ServerControl,
    TransportKind,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.unread import is_told_again

_LONGPOLL = TransportKind.LONGPOLL  # used for every POST; looking it up costs as much as a call


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
            unknown, has ended, or is another user's (RES-9).
    """
    if session is not None and session.ending is None:
        return session
    if isinstance(frame.epoch, str) and frame.epoch != epoch:
        raise ProtocolError(
            codes.WRONG_PROCESS,
            "this session belongs to another process, or to one that has restarted",
        )
    raise _unknown_session()


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


def split_header(frames: Sequence[Any]) -> tuple[Send, list[Any]]:
    """Return the ``send`` of a POST, and the frames after it (SND-1).

    Args:
        frames: the decoded lines; an invalid line is replaced by its `ProtocolError`.

    Raises:
        ProtocolError: the first line is not a ``send``.
    """
    header, *rest = frames
    if isinstance(header, ProtocolError):
        raise header
    if not isinstance(header, Send):
        raise ProtocolError(codes.BAD_FRAME, "the first line is the send frame")
    return header, rest


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
            if not session.begin_post(self.attachment, self._header, now):
                raise _unknown_session()
        while frames:
            frame = frames.pop(0)  # not kept: its messages take more memory here than in the inbox
            if isinstance(frame, ProtocolError):
                raise frame
            if isinstance(frame, Renew):
                return frame
            self.has_data = self.has_data or isinstance(frame, Data)
            for reply in session.receive(self.attachment, frame, now):
                if self._replies and is_told_again(self._replies[-1], reply):
                    self._replies.pop()
                self._replies.append(reply)
        self._check_not_reset()
        if isinstance(self._header.ack, int):  # last: it may end the session (CLS-4)
            session.acknowledge(self._header.ack)
        return None

    def _check_not_reset(self) -> None:
        ending = self._session.ending
        if ending is not None and ending.reset is not None:
            raise _unknown_session()

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
        self._check_not_reset()
        attachment = self.attachment
        if attachment is not None and attachment.code is not None:
            attachment = None
        downlink = self._session.downlink
        data = (
            []
            if attachment is None or self._held is None
            else downlink.data_beside_poll(attachment)
        )
        self.release_downlink()
        marks = downlink.answer_post(attachment)
        return [*map(encode_control, (marks, *self._replies)), *data]


def _unknown_session() -> ProtocolError:
    return ProtocolError(codes.UNKNOWN_SESSION, "there is no such session: open it again")
