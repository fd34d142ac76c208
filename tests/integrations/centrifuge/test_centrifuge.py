"""centrifuge: publications."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts, check_outage
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_centrifuge_publications_over_cuts_come_once(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport)


async def test_centrifuge_calls_do_not_fail_in_outage(stage: Stage) -> None:
    """A call times out after 5 s by default."""
    await check_outage(stage, 7)
