"""A conversation through a proxy that cuts it, over one transport and then over another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.integration.client.kit import PACING, TRANSPORTS
from tests.support.faults.tcp_proxy import FaultProxy
from transport.client import Channel

MESSAGES = 30
OTHER = {"websocket": "sse", "sse": "longpoll", "longpoll": "websocket"}
DEADLINE = 30.0

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def options(transport: str) -> dict[str, Any]:
    """Return the options of a channel that begins with this transport."""
    return {"transports": [transport], "trust_env": False, "pacing": PACING}


def websocket_options(transport: str) -> dict[str, Any]:
    """Return those of a `transport.client.websocket.connect`."""
    return {"transports": [transport], "proxy": None, "pacing": PACING}


async def converse(
    channel: Channel,
    proxy: FaultProxy,
    transport: str,
    ask: Callable[[int], Awaitable[object]],
    until_answered: Callable[[int], Awaitable[object]],
) -> None:
    """Ask `MESSAGES` times, with two cuts and another transport in the middle.

    Args:
        ask: sends the question of a number, from 0.
        until_answered: returns once that many were answered.
    """
    before = proxy.statistics.links_cut
    with anyio.fail_after(DEADLINE):
        for index in range(MESSAGES):
            await ask(index)
            if index in (4, 24):
                await until_answered(index - 2)  # it works, and answers are on their way
                proxy.cut()
            if index == 14:
                await until_answered(10)
                channel.transports = (OTHER[transport],)
        await until_answered(MESSAGES)
    assert channel.transport == OTHER[transport]
    assert proxy.statistics.links_cut - before >= 2
    assert channel.statistics().resets == 0
