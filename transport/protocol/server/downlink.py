"""What to write on a connection now.

Every connection reads the session's one send buffer through a cursor of its own, so nothing is
copied or queued for it. Besides data there are control frames, kept with the attachment; acks,
which piggyback on data or are sent alone after a delay (MRK-6); and our ``close``, after all data.
A client's acks may be slow: if somebody waits for one, or the window fills up, we ask (MRK-8).

Pure: the caller passes the time.
"""

from __future__ import annotations

from transport.limits import Limits
from transport.protocol.codec import encode_control
from transport.protocol.frames import Ack, Close, EncodedFrame, Poll, TransportKind
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.attachments import Attachment
from transport.protocol.states import AttachmentState

# Used for every message; looking up an enum member costs as much as a call.
_ENDED = AttachmentState.ENDED
_WEBSOCKET = TransportKind.WEBSOCKET


class Downlink:
    """Decides what is written on each connection of a session, and when.

    Args:
        outgoing: the session's downlink buffer.
        incoming: the session's uplink, whose ``shown`` is what we acknowledge.
        limits: bounds and times.

    Attributes:
        ack_waiters: how many tasks wait for an ack, or for the room that it brings.
        close: our ``close``, once the session is closing and it may be written.
        is_silent: whether the session has ended, which must not be told yet: only control frames
            are written.
        replayed: messages that were written again, on another connection.
    """

    __slots__ = (
        "_incoming",
        "_limits",
        "_outgoing",
        "ack_waiters",
        "close",
        "is_silent",
        "replayed",
    )

    def __init__(self, outgoing: SendBuffer, incoming: ReceiveWindow, limits: Limits) -> None:
        self.ack_waiters = 0
        self.close: Close | None = None
        self.is_silent = False
        self.replayed = 0
        self._outgoing = outgoing
        self._incoming = incoming
        self._limits = limits

    def is_due(self, attachment: Attachment, now: float) -> bool:
        """Return whether `transmit` would write something now, or the attachment has ended."""
        if attachment.control or attachment.code is not None:
            return True
        outgoing = self._outgoing
        last = outgoing.shown
        if not attachment.writable or self.is_silent or attachment.state is _ENDED:
            return False
        if self.close is not None and not attachment.close_written:
            return True
        if attachment.posts:
            return False
        return (
            (attachment.cursor <= last and outgoing.acked < last)
            or (self._incoming.shown > attachment.ack_written and self._is_ack_due(attachment, now))
            or (
                self.ack_waiters > 0
                and self.close is None
                and attachment.asked <= outgoing.acked < attachment.cursor - 1
            )
        )

    def ack_deadline(self, attachment: Attachment) -> float | None:
        """Return when to write a waiting ack alone (MRK-6), or None if no ack waits."""
        since = attachment.ack_since
        return None if since is None else since + self._limits.ack_delay

    def transmit(self, attachment: Attachment, now: float) -> list[EncodedFrame]:
        """Return all frames to write on the connection now, in order; empty if nothing is due."""
        frames = attachment.control
        if frames:
            attachment.control = []
        if attachment.code is not None:
            make_last, attachment.make_last = attachment.make_last, None
            return frames if make_last is None else [*frames, encode_control(make_last())]
        if not attachment.writable or self.is_silent or attachment.state is _ENDED:
            return frames
        outgoing = self._outgoing
        handled = self._incoming.shown
        last = outgoing.shown
        # Acknowledged messages are not written again.
        cursor = attachment.cursor if attachment.cursor > outgoing.acked else outgoing.acked + 1
        close = None if attachment.close_written else self.close
        has_data = cursor <= last
        if has_data:
            if cursor <= outgoing.sent:
                self.replayed += outgoing.sent - cursor + 1
            binary = attachment.transport is _WEBSOCKET
            data = outgoing.frames(cursor, handled, binary=binary)
            frames = [*frames, *data] if frames else data
            self._mark_ack_written(attachment)
        attachment.cursor = last + 1
        if close is not None:
            frames = [*frames, encode_control(close)]
            attachment.close_written = True
            self._mark_ack_written(attachment)
        elif attachment.asked <= outgoing.acked < last and (
            self.ack_waiters
            # Above three quarters of a window; here for speed: this runs for every message.
            or (has_data and 4 * (last - outgoing.acked) > 3 * self._limits.window_messages)
            or (has_data and 4 * outgoing.size > 3 * self._limits.window_bytes)
        ):
            frames = [*frames, encode_control(Ack(ack=handled, prompt=True))]
            attachment.asked = last
            self._mark_ack_written(attachment)
        elif (
            not has_data and handled > attachment.ack_written and self._is_ack_due(attachment, now)
        ):
            frames = [*frames, encode_control(Ack(ack=handled))]
            self._mark_ack_written(attachment)
        if frames:
            attachment.written_at = now
        return frames

    def _is_ack_due(self, attachment: Attachment, now: float) -> bool:
        """Return whether an ack must be sent now, without waiting to piggyback on data (MRK-6)."""
        if attachment.transport is _WEBSOCKET:
            return True
        handled = self._incoming.shown
        if attachment.ack_since is None:
            attachment.ack_since = now
        return (
            now >= attachment.ack_since + self._limits.ack_delay  # exactly as `ack_deadline`
            or handled - attachment.ack_written >= self._limits.window_messages // 4
        )

    def _mark_ack_written(self, attachment: Attachment) -> None:
        attachment.ack_written = self._incoming.shown
        attachment.ack_since = None

    # HTTP

    def answer_post(self, attachment: Attachment | None) -> Ack:
        """Return the first frame of a POST's answer (SND-2)."""
        if attachment is not None and attachment.ack_written >= 0:
            self._mark_ack_written(attachment)
        return Ack(
            ack=self._incoming.shown,
            received=self._incoming.received,
            sent=self._outgoing.sent if attachment is None else attachment.cursor - 1,
            attached=attachment is not None and attachment.state is not _ENDED,
        )

    def data_beside_poll(self, attachment: Attachment) -> list[EncodedFrame]:
        """Return the data that a POST's answer brings, if a poll waits (POL-4).

        Without a poll that waits, the answer to one may be on its way. The data begins above the
        highest mark that the client has named, as an earlier answer may have been lost.
        """
        outgoing = self._outgoing
        first = outgoing.acked + 1
        if not attachment.writable or self.is_silent or first > outgoing.shown:
            return []
        if first <= outgoing.sent:
            self.replayed += outgoing.sent - first + 1
        attachment.cursor = outgoing.shown + 1
        return outgoing.frames(first, self._incoming.shown, binary=False)

    def begin_poll(self, attachment: Attachment, frame: Poll) -> None:
        """Let a poll wait for its answer, which begins above the poll's ack (POL-2)."""
        if frame.poll == attachment.poll:
            # Its answer was lost, and with it the ack and the frames that no buffer keeps.
            attachment.ack_written = attachment.asked = 0
            attachment.control[:0] = attachment.last_poll_frames
        attachment.last_poll_frames = []
        attachment.poll = frame.poll
        attachment.cursor = frame.ack + 1
        attachment.close_written = False
        attachment.writable = True

    def answer_poll(self, attachment: Attachment, now: float) -> list[EncodedFrame]:
        """Return the frames that answer a waiting poll: at least one, an ack if nothing is due."""
        attachment.last_poll_frames = list(attachment.control)
        frames = self.transmit(attachment, now)
        if not frames:
            frames = [encode_control(Ack(ack=self._incoming.shown))]
            self._mark_ack_written(attachment)
        attachment.writable = False
        attachment.written_at = now
        return frames

    def end_poll(self, attachment: Attachment) -> None:
        """End a poll that was not answered, because its connection is lost."""
        attachment.writable = False
