"""Action Cable: actions of a channel, over a subprotocol."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts, check_outage
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_actioncable_actions_over_cuts_come_back_once(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)


async def test_actioncable_stays_connected_over_outage(stage: Stage) -> None:
    """By default, a connection without pings for 6 s is reopened, as is noticed within 12 s."""
    await check_outage(stage, 13)
