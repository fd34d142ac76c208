"""phoenix: pushes, their answers and broadcasts, in text and binary frames."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts, check_outage
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_phoenix_pushes_over_cuts_are_answered_once(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)


async def test_phoenix_answers_in_time_after_outage(stage: Stage) -> None:
    """A push times out after 10 s by default."""
    await check_outage(stage, 11)
