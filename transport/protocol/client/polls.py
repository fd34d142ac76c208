"""`PollPacing`: how long a poll asks to be held (POL-3). Pure."""

from __future__ import annotations

SHORTEST_HOLD = 5.0
"""Seconds that a poll is held at least, where a proxy was seen to cut one."""
CUT_AFTER = 2.0
"""Seconds after which a poll that got no answer was cut by something that does not hold so long."""


class PollPacing:
    """How long polls ask to be held.

    Attributes:
        hold: seconds, once a proxy was seen to cut a poll; None leaves it to the server.
    """

    __slots__ = ("hold",)

    def __init__(self) -> None:
        self.hold: float | None = None

    def failed(self, held: float) -> None:
        """A poll failed that was held for ``held`` seconds."""
        if held > CUT_AFTER:
            self.hold = max(SHORTEST_HOLD, held / 2)
