"""A question to a process that is gone, or cannot be reached yet, waits without being busy."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.unit.server.relay.conftest import echo
from transport import Hub
from transport.testing import JumpingEventLoop, cluster


@pytest.fixture
def anyio_backend() -> Any:
    """One loop in which the clock stands still while anything runs."""
    return "asyncio", {"loop_factory": JumpingEventLoop}


@pytest.mark.parametrize("delays", [(0.1, 0.5), (0.5, 0.1)])
async def test_question_waits_for_the_end_of_both_pipes(delays: tuple[float, float]) -> None:
    """One of them ends first; the process may still live then."""
    loop = asyncio.get_running_loop()
    async with cluster(lambda store: Hub(echo, store=store)) as processes:
        hub: Any = processes[0].app
        processes.delay = itertools.cycle(delays).__next__
        processes.kill(1)
        await asyncio.sleep(0.2)
        await hub.close_user("nobody")
        assert loop.time() == pytest.approx(0.5, abs=0.1)
