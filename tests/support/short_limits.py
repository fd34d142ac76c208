"""`ShortLimits`: limits with which sessions expire while a test waits."""

from __future__ import annotations

from transport import Limits


class ShortLimits(Limits):
    """Limits that are not checked: a ``ttl`` may be below the patience of clients (LIV-2).

    Clients that are told when their connection has ended do not notice.
    """

    def __post_init__(self) -> None:
        """Accept everything."""
