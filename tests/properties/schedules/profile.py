"""The steps that a schedule is made of, and the profiles that choose among them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from transport.limits import Limits

STEPS: dict[str, tuple[tuple[int, int], ...]] = {
    "open": ((0, 11), (0, 2)),
    "come_back": ((0, 2),),
    "send": ((0, 11), (1, 4)),
    "send_large": ((0, 11),),
    "clone": ((0, 11),),
    "contest": ((0, 11), (0, 2)),
    "take_over": ((0, 11), (0, 2)),
    "client_closes": ((0, 11),),
    "client_leaves": ((0, 11),),
    "client_vanishes": ((0, 11), (0, 1)),
    "handler_takes": ((0, 11), (1, 4)),
    "handler_sends": ((0, 11), (1, 4)),
    "handler_waits": ((0, 11),),
    "handler_ends": ((0, 11), (0, 2)),
    "server_resets": ((0, 11),),
    "server_drains": ((0, 11),),
    "server_restarts": ((0, 11),),
    "up": ((0, 11), (1, 6)),
    "down": ((0, 11), (1, 6)),
    "flow": ((1, 3),),
    "converse": ((0, 11), (1, 4), (1, 2)),
    "request_arrives": ((0, 11), (0, 1)),
    "request_is_lost": ((0, 11),),
    "client_stops_waiting": ((0, 11),),
    "cut": ((0, 11), (0, 1), (0, 1)),
    "time_passes": ((0, 4),),
    "everything_sleeps": ((0, 11),),
}
"""Each step of a `World`, and the bounds of its arguments."""

ESSENTIAL = frozenset(("flow", "converse", "open"))
"""The steps without which a schedule does not get far."""
TAKEOVERS = frozenset(("take_over", "client_vanishes"))
"""The steps by which many clients, one after another, have a session."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A kind of schedule.

    Attributes:
        steps: the steps to choose from, in the order of `STEPS`.
        length: how many steps a schedule has.
        omission: the probability that a step that is not essential is left out of a schedule
            altogether. A schedule in which nothing expires, or nobody closes, gets further with
            the steps that are left.
        limits: of the server.
        max_clients: how many clients there may be at a time.
        max_unacknowledged: how many messages a client keeps at most.
        keeps_sessions: whether a session that ends is a failure. `steps` must have none that ends
            one.
    """

    steps: Collection[str]
    length: int = 80
    omission: float = 0.3
    limits: Limits = Limits(window_messages=8, batch=7, message=64, depth=8)
    max_clients: int = 3
    max_unacknowledged: int = 20
    keeps_sessions: bool = False


MACHINE = Profile(steps=tuple(name for name in STEPS if name not in TAKEOVERS))
"""Everything that can end a session, in short schedules, with limits that these reach."""
SHORT = replace(MACHINE, length=12)
"""Short ones: what is left undone shows only at the end, before something else makes up for it."""
