"""partysocket: what it would lose at a cut, or send again."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_party_over_cuts_loses_nothing(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)
