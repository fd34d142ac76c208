"""The clock of the client: that of the running event loop."""

from __future__ import annotations

import asyncio


def read_clock() -> float:
    """Return the time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
