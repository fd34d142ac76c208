"""Times of a clock that the test turns, and the ``open`` that resumes a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.clients.frame_client import FrameClient
from transport.testing import opening

SWEEP = 0.5
"""Seconds of two sweeps: what a sweep sees to is exact to one of them."""


def now() -> float:
    """Return the time of the event loop."""
    return asyncio.get_running_loop().time()


def at(seconds: float) -> Any:
    """Compare equal to times from then on until two sweeps later."""
    return pytest.approx(seconds + SWEEP / 2, abs=SWEEP / 2)


def again(client: FrameClient, number: int = 2, **fields: Any) -> dict[str, Any]:
    """Return the ``open`` that resumes the session of ``client``."""
    return opening(number, session=client.token, nonce="n" * 22, **fields)
