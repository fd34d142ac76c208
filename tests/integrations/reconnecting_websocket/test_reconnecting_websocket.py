"""reconnecting-websocket: it loses what is on the way at a cut, and connects again at each end."""

from __future__ import annotations

import pytest

from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_reconnecting_websocket_cut_loses_nothing(stage: Stage, transport: str) -> None:
    messages = [f"{number}: ".ljust(100, ".") for number in range(60)]
    async with stage.page(transport) as page, page.cuts(every=1500):
        found = await page.run("(messages) => echo(messages)", messages)
    assert found == {"echoes": messages, "opened": 1}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_killed_server_makes_library_reconnect(stage: Stage, transport: str) -> None:
    """The session is lost, which the library learns from the events of any WebSocket."""
    async with stage.page(transport) as page:
        await page.wait("opened() === 1")
        await stage.server.restart()
        await page.wait("opened() === 2")
        found = await page.run("() => echo(['after'])")
    assert found == {"echoes": ["after"], "opened": 2}
