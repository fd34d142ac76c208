"""Time is turned here: credentials last for minutes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from transport.testing import JumpingEventLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": JumpingEventLoop}


@pytest.fixture(autouse=True)
async def turned(anyio_backend: object) -> None:
    """With a fixture of wider scope alive, tests would run in its loop, and wait in earnest."""
    if anyio_backend != "asyncio":
        assert isinstance(asyncio.get_running_loop(), JumpingEventLoop)
