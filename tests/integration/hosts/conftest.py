"""One running server for all tests of a file with a given host."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.hosts.hosts import VARIANTS, Variant
from tests.support.servers.uvicorn import Server


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Return each host with its options."""
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
async def started(variant: Variant) -> AsyncIterator[Server]:
    """Run one server of this host, which a test may stop."""
    async with variant.serving("app") as server:
        yield server


@pytest.fixture
async def server(started: Server) -> AsyncIterator[Server]:
    """Return the server, running. After the test, check that its log is clean."""
    if not started.running:
        await started.start()
    written = len(started.log)
    yield started
    assert not started.complaints, "\n".join(started.log[written:])
