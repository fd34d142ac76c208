"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One backend for all: of the widest scope, so that a browser can serve many tests."""
    return "asyncio"
