"""How a session ends: by a close, or by a reset.

A close lets both sides finish: what we have sent is still delivered, until the client has
acknowledged everything or ``limits.closing`` has passed. A reset ends the session at once, and
tells its client the fate of what was on its way.

Pure: the caller passes the time.
"""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from transport import codes
from transport.errors import ChannelClosed, LocalProtocolError
from transport.limits import Limits
from transport.protocol.frames import Close, Drain, Initiator, Reset, ResetReason
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.attachments import Attachments
from transport.protocol.server.downlink import Downlink
from transport.protocol.server.inbox import Inbox
from transport.protocol.server.tombstone import Ending, Tombstone, encode_close
from transport.protocol.server.unread import Unread
from transport.protocol.server.unstored import Unstored
from transport.protocol.states import SessionState, SessionStep, advance

# Used for every ack; looking up an enum member costs as much as a call.
_CLOSING, _CLOSED = SessionState.CLOSING, SessionState.CLOSED


class Closable:
    """A session, as far as its end is concerned. `ServerSession` makes it, and does the rest.

    Attributes:
        id: the public id.
        limits: bounds and times.
        state: its phase of life.
        outgoing: the messages that the handler sent, until they are acknowledged.
        incoming: the marks of what the client sends.
        attachments: the connections that are attached, and the client that owns the session.
        downlink: what to write on them.
        peer_close: the client's ``close``, once received.
        closing: our ``close``, once the session is closing.
        ending: how the session ended, once it has.
        dropped: messages that were refused because the send buffer was full (RES-2).
        inbox: the messages that the handler has not taken.
        unstored: what the store of the session does not have yet; None if no store keeps it.
    """

    __slots__ = (
        "_closing_until",
        "_unread",
        "attachments",
        "closing",
        "downlink",
        "dropped",
        "ending",
        "id",
        "inbox",
        "incoming",
        "limits",
        "outgoing",
        "peer_close",
        "state",
        "unstored",
    )

    id: str
    limits: Limits
    state: SessionState
    outgoing: SendBuffer
    incoming: ReceiveWindow
    attachments: Attachments
    downlink: Downlink
    peer_close: Close | None
    closing: Close | None
    ending: Ending | None
    dropped: int
    inbox: Inbox
    unstored: Unstored | None
    _unread: Unread | None
    """The refusal of messages, while there is one (DAT-7)."""
    _closing_until: float

    def close(
        self,
        code: int,
        reason: str,
        by: Initiator,
        now: float,
        *,
        failed: bool = False,
        retry_in: float | None = None,
        within: float | None = None,
    ) -> None:
        """Send no more messages; deliver those that were sent, then end (CLS-1, CLS-3).

        Args:
            code: see `is_close_code`; from the protocol one of the table.
            reason: for people, at most 123 bytes.
            by: whose code it is.
            now: seconds.
            failed: whether the handler failed or is interrupted at its current message, whose fate
                is then unknown.
            retry_in: after how many seconds the client may open a new session; None if it may not
                (CLS-8).
            within: how many seconds the client has to answer; ``limits.closing`` by default.

        Raises:
            ValueError: ``close`` cannot carry the code or the reason.
        """
        incoming = self.incoming
        state = advance(self.state, SessionStep.LOCAL_CLOSE)
        handled = incoming.handled if failed else incoming.delivered
        begun = self._handed_out
        closing = Close(
            code=code,
            reason=reason,
            by=by,
            last=self.outgoing.last,
            ack=handled,
            in_hand=begun if begun > handled else UNSET,
            retry_in=UNSET if retry_in is None else retry_in,
        )
        self.closing = closing
        if self.unstored is None:
            self.downlink.close = closing
        else:
            self.unstored.closing = encode_close(closing)
        self.state = state
        self._unread = None
        if not failed:
            incoming.mark_handled()
        self.inbox.clear()
        self._closing_until = now + (self.limits.closing if within is None else within)
        self._end_if_acknowledged()

    def _widen_close(self, floor: int) -> None:
        """Tell in our ``close``, if there is one, that messages may have been handed out elsewhere.

        Args:
            floor: the number up to which they may have been.
        """
        closing = self.closing
        if closing is None:
            return
        told = closing.in_hand if isinstance(closing.in_hand, int) else closing.ack
        self.closing = closing = replace(closing, in_hand=max(told, floor))
        if self.ending is not None and self.ending.close is not None:
            self.ending = replace(self.ending, close=closing)
        if self.downlink.close is not None:
            self.downlink.close = closing
        assert self.unstored is not None, "no store keeps this session"
        self.unstored.closing = encode_close(closing)

    def closed_error(self) -> ChannelClosed:
        """Return the error that says how the session ended, or is ending."""
        if self.ending is not None:
            return ChannelClosed(self.ending.code, self.ending.reason, self.id)
        close = self.peer_close or self.closing
        if close is None:
            raise LocalProtocolError("the session is not closing")
        return ChannelClosed(close.code, close.reason, self.id)

    def acknowledge(self, number: int) -> None:
        """Remove what the client has received, up to a mark that was checked (MRK-3)."""
        if self.outgoing.acknowledge(number):
            self._end_if_acknowledged()

    def _end_if_acknowledged(self) -> None:
        close = self.closing
        if self.state is _CLOSING and close and self.outgoing.acked >= close.last:
            self._finish(SessionStep.ALL_ACKNOWLEDGED, close)

    # Resets, and what remains

    def reset(self, reason: ResetReason, step: SessionStep = SessionStep.RESET) -> None:
        """End the session, and report to its client what was lost (RES-4)."""
        code = codes.RESET.close_code
        self._end(step, Ending(code=code, reason=reason, by="protocol", reset=reason))
        if reason is ResetReason.OVERFLOW:
            self.dropped += 1

    def overflow(self) -> None:
        """Count a message that was refused as the send buffer is full, and end the session (DAT-6).

        If it has ended by that already, the message is only counted.
        """
        if self.state is not _CLOSED:
            self.reset(ResetReason.OVERFLOW)
        elif self.ending is not None and self.ending.reset is ResetReason.OVERFLOW:
            self.dropped += 1

    def _reset_frame(self) -> Reset:
        return self.tombstone().reset_for(self.outgoing.acked)

    def _finish(self, step: SessionStep, close: Close) -> None:
        """End the session by our ``close``."""
        self._end(step, Ending(code=close.code, reason=close.reason, by=close.by, close=close))

    def _end(self, step: SessionStep, ending: Ending) -> None:
        self.state = advance(self.state, step)
        self.ending = ending
        self._unread = None
        self.inbox.clear()
        self.outgoing.clear()
        if self.unstored is None:
            self.show_end()
        else:
            self.downlink.is_silent = True

    def show_end(self) -> None:
        """Tell the clients that are attached how the session has ended: its store has that.

        Raises:
            LocalProtocolError: it has not ended.
        """
        if self.ending is None:
            raise LocalProtocolError("the session has not ended")
        close = self.ending.close
        self.downlink.is_silent = False
        if self.unstored is not None:
            self._end_stale()
            self.unstored.ended()
        for attachment in list(self.attachments.live):
            if close is None:
                self.attachments.end(attachment, codes.RESET)
                attachment.make_last = self._reset_frame
            else:
                last = None if attachment.close_written else close
                self.attachments.end(attachment, codes.NORMAL, last)

    def _end_stale(self) -> None:
        """Let clients open the session again whose connections are older than its divergence."""
        assert self.unstored is not None, "no store keeps this session"
        for attachment in self.unstored.stale:
            if attachment in self.attachments.live:
                self.attachments.end(attachment, codes.RESTART, Drain(retry_in=0.0))
        self.unstored.stale = ()

    @property
    def end_shown(self) -> bool:
        """Whether the session has ended, and clients may know."""
        return self.ending is not None and not self.downlink.is_silent

    @property
    def _handed_out(self) -> int:
        """The number up to which messages may have been handed out, here or in a former home."""
        delivered = self.incoming.delivered
        return delivered if self.unstored is None else max(delivered, self.unstored.floor)

    def tombstone(self) -> Tombstone:
        """Return what remains of the session after its end.

        Raises:
            LocalProtocolError: it has not ended.
        """
        if self.ending is None:
            raise LocalProtocolError("a session that has not ended has no tombstone")
        return Tombstone(
            ending=self.ending,
            handled=self.incoming.handled,
            in_hand=self._handed_out,
            last=self.outgoing.last,
            received=self.incoming.received,
            dropped=self.dropped,
            owner=self.attachments.owner,
        )
