"""`PollPacing`: how long a poll asks to be held (POL-3). Pure."""

from __future__ import annotations

SHORTEST_HOLD = 5.0
"""Seconds: no shorter hold is asked for, once an intermediary was seen to cut a poll."""
CUT_AFTER = 2.0
"""Seconds after which a poll without an answer was cut by an intermediary, rather than failed."""


class PollPacing:
    """The hold of the next poll, by how long earlier ones lasted.

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
