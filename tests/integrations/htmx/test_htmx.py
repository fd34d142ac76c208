"""htmx 2 with its WebSocket extension: forms, and what they add to the page."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_htmx_forms_over_cuts_add_one_item_each(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)
