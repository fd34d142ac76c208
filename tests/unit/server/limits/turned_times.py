"""Times of the virtual clock, and the ``open`` that resumes a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.clients.frame_client import FrameClient
from transport.testing import opening

SWEEP = 0.5
"""Two sweep intervals in seconds. Timeouts that the sweep checks are exact to one interval."""


def now() -> float:
    """Return the time of the event loop."""
    return asyncio.get_running_loop().time()


def at(seconds: float) -> Any:
    """Return a value equal to any time from ``seconds`` until two sweeps later."""
    return pytest.approx(seconds + SWEEP / 2, abs=SWEEP / 2)


def resuming_open(client: FrameClient, number: int = 2, **fields: Any) -> dict[str, Any]:
    """Return the ``open`` that resumes the session of ``client``."""
    return opening(number, session=client.token, nonce="n" * 22, **fields)
