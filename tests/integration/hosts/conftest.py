"""One running server for all tests of a file and a host."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.hosts.hosts import VARIANTS, Variant
from tests.support.servers.uvicorn import Server


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each host, with its options."""
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
async def started(variant: Variant) -> AsyncIterator[Server]:
    """The server of this host: one, though a test may have stopped it."""
    async with variant.serving("app") as server:
        yield server


@pytest.fixture
async def server(started: Server) -> AsyncIterator[Server]:
    """The server, running; nothing in its log may be wrong when the test is over."""
    if not started.running:
        await started.start()
    written = len(started.log)
    yield started
    assert not started.complaints, "\n".join(started.log[written:])
