"""Numbers on events, by which the demo's pages count what they have received.

They belong to the demo, and are the same over a plain WebSocket. The numbers of onechannel itself
are in its frames, and no application sees them.
"""

import secrets
from typing import Any

RUN = secrets.token_hex(4)
"""Different in each process, because the numbers begin again in each."""


class Numbers:
    """The numbers of one feed, from 1."""

    def __init__(self) -> None:
        self.next = 1

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
        return {"from": self.next - events, "run": RUN}
