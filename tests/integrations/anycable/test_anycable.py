"""AnyCable's client: actions of a channel."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts, check_outage
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_anycable_actions_over_cuts_come_back_once(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)


async def test_anycable_stays_connected_over_outage(stage: Stage) -> None:
    """By default, a connection without two pings, of one every 3 s, is reopened."""
    await check_outage(stage, 11)
