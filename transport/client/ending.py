"""`close_within`: ends a channel in a bounded time, when its block fails or is cancelled."""

from __future__ import annotations

import asyncio

import anyio

from transport.client.driver import Driver
from transport.waiting import wait_all

EXIT_TIMEOUT = 1.0
"""Seconds to tell the server of the end if the application failed or was cancelled."""


async def close_within(driver: Driver, task: asyncio.Task[None], seconds: float) -> None:
    """Close the channel within that many seconds, or abandon it. No task is left behind.

    Args:
        driver: runs the channel.
        task: the task of `Driver.run`.
        seconds: how long the close may take; a cancellation does not shorten it.
    """
    try:
        driver.close(1000, "")
        with anyio.move_on_after(seconds, shield=True):
            await asyncio.wait([task])
    finally:
        driver.abandon()
        await wait_all([task])
