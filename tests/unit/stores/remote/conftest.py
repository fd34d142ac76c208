"""Time is virtual: what takes 20 seconds in these tests takes none."""

from __future__ import annotations

from typing import Any

import pytest

from transport.testing import JumpingEventLoop


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}
