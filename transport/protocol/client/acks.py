"""`AckSchedule`: what was received, and when an ack of it leaves (MRK-6). Pure.

An ack is free with anything else that is written: data, a poll, our ``close``. It leaves alone if
nothing takes it along in time, and at once if it frees a quarter of the server's send window.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from transport.protocol.client.link import Link
from transport.protocol.client.terms import Terms
from transport.protocol.frames import TransportKind
from transport.protocol.receive_window import ReceiveCursor

ACK_DELAY = 0.1
"""Seconds that an ack waits on HTTP for something to take it along, and the interval between two
that leave alone on WebSocket (MRK-6)."""


class AckSchedule:
    """The mark of the downlink, and when the server is told of it.

    Attributes:
        incoming: the mark.
        due_at: when an ack leaves alone; infinite if none is due.
    """

    __slots__ = ("_not_before", "_unacked", "due_at", "incoming")

    def __init__(self, incoming: ReceiveCursor) -> None:
        self.incoming = incoming
        self.due_at = inf
        self._not_before = 0.0
        """No ack leaves alone on WebSocket before then, unless the window needs it."""
        self._unacked = 0
        """Bytes that the next ack will acknowledge."""

    def record(self, count: int, size: int, link: Link, terms: Terms, now: float) -> None:
        """Record the next ``count`` messages, which came over ``link`` in ``size`` bytes."""
        incoming = self.incoming
        incoming.advance(count)
        self._unacked += size
        if link.transport is TransportKind.LONGPOLL:
            return  # the next poll takes the mark along
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
        """Return whether an ack must leave alone on ``link`` now; if so, the next one waits."""
        due = link.acked < self.incoming.received and now >= self.due_at
        if due:
            self._not_before = now + ACK_DELAY
        return due

    def set_due(self) -> None:
        """Make an ack due at once: the request that took one along was lost."""
        self.due_at = 0.0

    def move_to(self, link: Link) -> None:
        """Let ``link`` carry the acks from now on.

        What was due on an earlier link may not be due on this one, and what that one took along may
        be lost: the mark of this link is what its ``open`` said.
        """
        self.due_at = 0.0 if link.acked < self.incoming.received else inf

    def clip_lost_range(self, lost: Sequence[int] | None) -> Sequence[int] | None:
        """Return the part of ``lost`` that was not received.

        The rest came over another link, or only its ack was lost (RES-4).
        """
        if not lost:
            return lost
        first, last = max(lost[0], self.incoming.received + 1), lost[1]
        return [first, last] if first <= last else []

    def reset(self, incoming: ReceiveCursor) -> None:
        """Begin the next session."""
        self.incoming = incoming
        self.due_at = inf
