"""Fixtures shared by all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Use one backend, with session scope, so that one browser can serve many tests."""
    return "asyncio"
