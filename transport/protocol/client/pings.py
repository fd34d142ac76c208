"""`Pings`: the application's pings, which the server answers (PROTOCOL.md LIV-2). Pure."""

from __future__ import annotations

from transport.protocol.codec import encode_control
from transport.protocol.frames import Ping


class Pings:
    """The pings that the server has not answered.

    The answer to a ping stands for all earlier ones. A ping, or its answer, may be lost with its
    connection: the latest one is written again on the next attach.
    """

    __slots__ = ("_answered", "_last")

    def __init__(self) -> None:
        self._last = 0
        self._answered = 0

    def begin(self) -> int:
        """Begin another ping, and return its number."""
        self._last += 1
        return self._last

    def frames(self) -> list[str]:
        """Return what to write: the latest ping, unless it is answered."""
        return [encode_control(Ping(id=self._last))] if self._answered < self._last else []

    def answer(self, number: object) -> int:
        """Take the ``id`` of a pong.

        Returns:
            The number up to which pings are answered now; 0 if this one answers none.
        """
        if not isinstance(number, int) or not self._answered < number <= self._last:
            return 0
        self._answered = number
        return number
