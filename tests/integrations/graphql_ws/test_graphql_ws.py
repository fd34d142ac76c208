"""graphql-ws: at a cut it would run a subscription again, and perhaps a mutation twice."""

from __future__ import annotations

import pytest

from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_graphql_ws_cut_loses_nothing(stage: Stage, transport: str) -> None:
    before = len(await stage.seen())
    async with stage.page(transport) as page, page.cuts(every=1500):
        found = await page.run("() => count(60)")
    assert found == {"counts": list(range(60)), "connected": 1}
    assert (await stage.seen())[before:] == list(range(60))
