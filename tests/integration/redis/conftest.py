"""Workers whose sessions are in a Redis, which are killed, stopped and cut off from it.

`make test` has short forms; ``REDIS=full`` has the full ones, which print their figures.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from tests.integration.redis.crew import Crew, crew

IS_FULL = os.environ.get("REDIS") == "full"
collect_ignore = [] if IS_FULL else ["test_long_outage.py", "test_balancers.py"]
COUNT = 4 if IS_FULL else 3
FACTOR = 1.0 if IS_FULL else 0.5
"""Of the times of the store: in the short form a lease lasts 3 s."""
COUNT_OF_EACH = 100 if IS_FULL else 2
"""Members over each transport."""


@pytest.fixture(scope="module")
async def workers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crew]:
    """Run workers for the tests of a file."""
    async with crew(COUNT, tmp_path_factory.mktemp("crew"), FACTOR) as one:
        yield one
