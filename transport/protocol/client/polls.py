"""`PollPacing`: how long a poll asks to be held (POL-3). Pure."""

from __future__ import annotations

SHORTEST_HOLD = 5.0
"""The shortest hold to ask for, in seconds, after an intermediary has cut a poll."""
CUT_AFTER = 2.0
"""A poll that is lost after more than this many seconds was probably cut by an intermediary."""


class PollPacing:
    """Decides the hold of the next poll from how long earlier ones lasted.

    Attributes:
        hold: seconds; None leaves it to the server.
    """

    __slots__ = ("hold",)

    def __init__(self) -> None:
        self.hold: float | None = None

    def failed(self, held: float) -> None:
        """Record that a poll failed after ``held`` seconds."""
        if held > CUT_AFTER:
            self.hold = max(SHORTEST_HOLD, held / 2)
