"""Which frames carry nothing new, and how many of them a client may send (LIV-5).

Messages are bounded by their window, and an ack that moves the mark answers a message. Nothing else
bounds pings, repetitions and the like, which cost as much to handle. Repetitions have a budget of
their own, because a POST whose answer was lost is repeated whole.

Pure: the caller passes the time.
"""

from __future__ import annotations

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.server.control_budget import ControlBudget


class FrameRates:
    """Counts the frames of one session that carry nothing new.

    Args:
        limits: for the rates, and for the window.
        incoming: the marks of what the client sends.
    """

    __slots__ = ("_control", "_dropped_to", "_incoming", "_limits", "_repeated")

    def __init__(self, limits: Limits, incoming: ReceiveWindow) -> None:
        self._limits = limits
        self._incoming = incoming
        self._dropped_to = 0
        """The last number that was dropped unread, as it followed a refused one (DAT-4)."""
        # Most sessions need neither.
        self._control: ControlBudget | None = None
        self._repeated: ControlBudget | None = None

    def count(self, now: float) -> None:
        """Count a frame that carries nothing new.

        Raises:
            ProtocolError: ``too_many``.
        """
        if self._control is None:
            self._control = ControlBudget(self._limits.control_per_second)
        if not self._control.spend(now):
            raise ProtocolError(
                codes.TOO_MANY,
                "more frames without a new message or mark than the server's "
                f"Limits(control_per_second={self._limits.control_per_second}) allows",
                limit="control",
                retry_in=1.0,
            )

    def count_dropped(self, last: int, now: float) -> None:
        """Count a frame of data up to ``last``, of which nothing is taken.

        Data that follows a refused message was on its way (DAT-4): it counts if it comes again.

        Raises:
            ProtocolError: ``too_many``.
        """
        incoming, limits = self._incoming, self._limits
        is_due = incoming.received < last <= incoming.handled + limits.window_messages
        if is_due and last > self._dropped_to:
            self._dropped_to = last
            return
        if self._repeated is None:
            self._repeated = ControlBudget(limits.batch)
        if not self._repeated.spend(now):
            raise ProtocolError(
                codes.TOO_MANY,
                "more repeated frames in a second than the server's "
                f"Limits(batch={limits.batch}) allows",
                limit="batch",
                retry_in=1.0,
            )
