"""Fixtures for tests that turn the clock: minutes pass as soon as nothing else is left to run.

A ``conftest.py`` imports both for its folder; a single module imports only `anyio_backend`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from transport.testing import JumpingEventLoop

__all__ = ("anyio_backend", "check_event_loop")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run each test on a `JumpingEventLoop`."""
    return "asyncio", {"loop_factory": JumpingEventLoop}


@pytest.fixture(autouse=True)
async def check_event_loop(anyio_backend: object) -> None:
    """Fail if a fixture of wider scope is active: tests would use its loop and really wait."""
    if anyio_backend != "asyncio":
        assert isinstance(asyncio.get_running_loop(), JumpingEventLoop)
