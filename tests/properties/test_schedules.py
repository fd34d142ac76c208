"""Long schedules in which no session ends: clients take it from each other, again and again.

The machine's schedules are short, and end sessions in every way that there is. Here sessions live
on, over many attaches, takeovers, cuts and repeated requests, in a larger window.
"""

from __future__ import annotations

import pytest

from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.profile import STEPS, Profile
from tests.properties.schedules.schedule import check_schedules
from transport.limits import Limits

ENDINGS = {
    "send_large",
    "client_closes",
    "client_leaves",
    "handler_ends",
    "server_resets",
    "server_restarts",
    "everything_sleeps",
}
"""The steps that end a session; and ``send_large``, which these limits do not refuse."""
FOR_EVER = 1e9

LONG = Profile(
    steps=tuple(name for name in STEPS if name not in ENDINGS),
    length=400,
    omission=0.1,
    limits=Limits(window_messages=50, ttl=FOR_EVER, stream=FOR_EVER, heartbeat=FOR_EVER / 10),
    max_clients=5,
    max_unacknowledged=40,
    keeps_sessions=True,
)


@pytest.mark.parametrize("seed", range(30))
def test_session_lives_on_under_any_schedule(seed: int, new_core: ClientFactory) -> None:
    """NUM-3, NUM-4, RES-1, ATT-3, ATT-6: see `World`."""
    check_schedules([seed], LONG, new_core)
