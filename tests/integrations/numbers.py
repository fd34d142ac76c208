"""A conversation in numbers (numbers.ts) over cut connections."""

from __future__ import annotations

from typing import Any

import anyio

from tests.integrations.stage import Stage


def _all_once(last: int) -> dict[str, Any]:
    return {"shown": list(range(1, last + 1)), "connected": 1}


async def check_cuts(stage: Stage, transport: str, *, last: int = 300) -> None:
    """Fail if a number is lost, doubled or late, or if the library notices a cut.

    Args:
        last: the last number. The answers up to it must have 12,000 bytes.
    """
    async with stage.page(transport) as page, page.cuts(every=4000):
        assert await page.run("(last) => count(last)", last) == _all_once(last)


async def check_outage(stage: Stage, seconds: float) -> None:
    """Fail if the library notices an outage in which it has sent numbers.

    Args:
        seconds: of the outage; more than the library waits for an answer or a ping by default.
    """
    async with stage.page("websocket") as page:
        async with page.outage():
            await page.run("() => void (window.counting = count(20))")
            await anyio.sleep(seconds)
        assert await page.run("() => counting") == _all_once(20)
