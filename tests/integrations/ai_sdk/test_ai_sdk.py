"""AI SDK: at a cut it would fail the answer, and its Stop would not reach the server."""

from __future__ import annotations

import pytest

from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ai_sdk_cut_answer_is_complete(stage: Stage, transport: str) -> None:
    async with stage.page(transport) as page, page.cuts(every=1500):
        found = await page.run("() => ask(60)")
    assert found == [f"{number} " for number in range(60)]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_ai_sdk_stop_while_cut_reaches_server(stage: Stage, transport: str) -> None:
    before = await stage.seen()
    async with stage.page(transport) as page:
        await page.run("() => { ask(100_000) }")
        await page.wait("tokens.length > 5")
        async with page.outage():
            await page.run("() => stop()")
        await stage.until_seen(*before, "stop")
