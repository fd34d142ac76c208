"""A conversation in numbers (numbers.ts) over cut connections."""

from __future__ import annotations

from typing import Any

import anyio

from tests.integrations.stage import Stage
from tests.support.browsers.chromium import DEADLINE

_GIVES_UP_AFTER = DEADLINE - 5
"""Seconds. Then the page tells what it has, before the test's own deadline."""


def _all_once(last: int) -> dict[str, Any]:
    return {"shown": list(range(1, last + 1)), "connected": 1}


async def check_cuts(stage: Stage, transport: str, *, last: int = 300) -> None:
    """Fail if a number is lost, doubled or late, or if the library notices a cut.

    Args:
        last: the last number. The answers up to it must have 12,000 bytes.
    """
    async with stage.page(transport) as page, page.cuts(every=4000):
        found = await page.run("(given) => count(...given)", [last, _GIVES_UP_AFTER])
        assert found == _all_once(last)


async def check_outage(stage: Stage, seconds: float) -> None:
    """Fail if the library notices an outage in which it has sent numbers.

    Args:
        seconds: of the outage; more than the library waits for an answer or a ping by default.
    """
    async with stage.page("websocket") as page:
        async with page.outage():
            given = [20, seconds + _GIVES_UP_AFTER]
            await page.run("(given) => void (window.counting = count(...given))", given)
            await anyio.sleep(seconds)
        # As browsers do. Without it, the channel may wait as long again.
        await page.run("() => void dispatchEvent(new Event('online'))")
        assert await page.run("() => counting") == _all_once(20)
