"""sockette, which takes the page's `WebSocket`."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_sockette_messages_over_cuts_come_back_once(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)
