"""reconnecting-websocket: what it would send again, or lose, at a cut."""

from __future__ import annotations

import pytest

from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_reconnecting_websocket_cut_loses_nothing(stage: Stage, transport: str) -> None:
    messages = [f"{number}: ".ljust(100, ".") for number in range(60)]
    async with stage.page(transport) as page, page.cuts(every=1500):
        found = await page.run("(messages) => echo(messages)", messages)
    assert found == {"echoes": messages, "opened": 1}
