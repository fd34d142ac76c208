"""`AckSchedule`: what was received, and when an ack of it is sent (MRK-6). Pure.

An ack piggybacks on anything else that is written: data, a poll, our ``close``. It is sent alone if
nothing carries it in time, and at once when it would free a quarter of the server's send window.
On long poll every POST names the mark, and one without further lines is a lone ack (POL-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from transport.protocol.client.link import Link
from transport.protocol.client.terms import Terms
from transport.protocol.frames import TransportKind
from transport.protocol.receive_window import ReceiveWindow

ACK_DELAY = 0.1
"""Seconds for which an ack waits to piggyback on HTTP, and the minimum interval between standalone
acks on WebSocket (MRK-6)."""


class AckSchedule:
    """The mark of the downlink, and when to send it to the server.

    Attributes:
        incoming: the mark.
        due_at: when to send a standalone ack; infinite if none is due.
    """

    __slots__ = ("_not_before", "_unacked", "due_at", "incoming")

    def __init__(self, incoming: ReceiveWindow) -> None:
        self.incoming = incoming
        self.due_at = inf
        self._not_before = 0.0
        """When the next standalone ack may be sent on WebSocket, unless the window needs one."""
        self._unacked = 0
        """Bytes that the next ack will acknowledge."""

    def record(self, count: int, size: int, link: Link, terms: Terms, now: float) -> None:
        """Record the next ``count`` messages, of ``size`` bytes, as received on ``link``."""
        incoming = self.incoming
        incoming.receive_and_handle(count)
        self._unacked += size
        quarter = (
            incoming.received - link.acked >= terms.window_messages / 4
            or self._unacked >= terms.window_bytes / 4
        )
        if quarter:
            due = now
        elif link.transport is TransportKind.WEBSOCKET:
            due = max(now, self._not_before)
        else:
            due = now + ACK_DELAY
        self.due_at = min(self.due_at, due)

    def mark(self, link: Link) -> int:
        """Return the mark, which is being written on ``link``."""
        self.due_at = inf
        self._unacked = 0
        link.acked = self.incoming.received
        return link.acked

    def take_due(self, link: Link, now: float) -> bool:
        """Return whether to send a standalone ack on ``link`` now; if so, the next one waits."""
        due = link.acked < self.incoming.received and now >= self.due_at
        if due:
            self._not_before = now + ACK_DELAY
        return due

    def set_due(self) -> None:
        """Make an ack due at once: the request that carried one was lost."""
        self.due_at = 0.0

    def move_to(self, link: Link) -> None:
        """Let ``link`` carry the acks from now on.

        An ack due on the previous link may not be due here, and one that it carried may be lost:
        start from the mark in this link's ``open``.
        """
        self.due_at = 0.0 if link.acked < self.incoming.received else inf

    def clip_lost_range(self, lost: Sequence[int | None] | None) -> Sequence[int | None] | None:
        """Return the part of ``lost`` that was not received.

        The rest was received on another link, or only its ack was lost (RES-4).
        """
        if not lost:
            return lost
        first, last = max(lost[0] or 1, self.incoming.received + 1), lost[1]
        return [first, last] if last is None or first <= last else []

    def reset(self, incoming: ReceiveWindow) -> None:
        """Begin the next session."""
        self.incoming = incoming
        self.due_at = inf
        self._not_before = 0.0
        self._unacked = 0
