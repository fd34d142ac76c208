"""`AckSchedule`: what was received, and when an ack of it is sent (MRK-6). Pure.

An ack piggybacks on anything else that is written: data, a poll, our ``close``. It is sent alone if
nothing carries it in time; and at once if it would free a quarter of the server's send window, if
it completes a replay, or if the server asks for it. On long poll every POST names the mark, and one
without further lines is a lone ack (POL-5).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from transport.protocol.client.link import Link
from transport.protocol.client.terms import Terms
from transport.protocol.receive_window import ReceiveWindow

ACK_DELAY = 0.5
"""Seconds for which an ack waits to piggyback, from the first message that it covers (MRK-6). The
server reads one frame for each ack, and nothing waits for it: if something does, the server asks.
"""


class AckSchedule:
    """The mark of the downlink, and when to send it to the server.

    Attributes:
        incoming: the mark.
    """

    __slots__ = ("_count", "_due_at", "_size", "incoming")

    def __init__(self, incoming: ReceiveWindow) -> None:
        self.incoming = incoming
        self._due_at = inf
        self._count = 0
        """Messages that the next ack will acknowledge."""
        self._size = 0
        """The bytes of these."""

    def record(self, count: int, size: int, terms: Terms, now: float) -> None:
        """Record the next ``count`` messages, of ``size`` bytes, as received.

        On whichever link: one that no longer leads writes no more, so the next one has to.
        """
        self.incoming.receive_and_handle(count)
        self._count += count
        self._size += size
        is_quarter = (
            self._count >= terms.window_messages / 4 or self._size >= terms.window_bytes / 4
        )
        self._due_at = min(self._due_at, now if is_quarter else now + ACK_DELAY)

    def mark(self, link: Link) -> int:
        """Return the mark, which is being written on ``link``."""
        self._due_at = inf
        self._count = self._size = 0
        link.acked = self.incoming.received
        return link.acked

    def due_on(self, link: Link) -> float:
        """Return when to send a standalone ack on ``link``; infinite if it has carried the mark."""
        return self._due_at if link.acked < self.incoming.received else inf

    def set_due(self) -> None:
        """Make an ack due at once."""
        self._due_at = 0.0

    def set_due_on(self, link: Link) -> None:
        """Make an ack due at once on ``link``, unless it has carried the mark.

        Called when ``link`` begins to carry the acks, too. One that was due on the previous link
        may not be due here, and one that it carried may be lost: what counts is the mark in this
        link's ``open``, which the server takes as an ack (MRK-9).
        """
        self._due_at = 0.0 if link.acked < self.incoming.received else inf

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
        self._due_at = inf
        self._count = self._size = 0
