"""Numbers on events, by which the demo's pages count what they have received.

They belong to the demo, and are the same over a plain WebSocket. The numbers of onechannel itself
are in its frames, and no application sees them.
"""

import secrets
from typing import Any


class Numbers:
    """The numbers of one feed, from 1. ``run`` tells feeds apart, also those of two processes."""

    def __init__(self) -> None:
        self.next = 1
        self.run = secrets.token_hex(4)

    def number(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event with the next number, as ``n``."""
        numbered = {"n": self.next, **event}
        self.next += 1
        return numbered

    def hello(self, events: int = 0) -> dict[str, Any]:
        """Return what a page is sent first: the number with which its events begin.

        Args:
            events: how many of the latest events follow at once.
        """
        return {"from": self.next - events, "run": self.run}
