"""Time is turned here: limits are of seconds and minutes."""

from __future__ import annotations

from typing import Any

import pytest

from transport.testing import JumpingEventLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": JumpingEventLoop}
