"""A question to a process that is gone, or cannot be reached yet, waits without being busy."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.unit.server.relay.conftest import echo
from transport import Channel, Hub, Workers
from transport.testing import JumpingEventLoop, cluster, drive


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


async def test_answer_that_came_during_a_stop_counts() -> None:
    """The process reads it when it goes on; its timers are overdue then."""

    def make_hub(store: Workers) -> Hub:
        async def pass_on(channel: Channel) -> None:
            async for channel_id in channel:
                await channel.send(await hub.send_to(channel_id, "hello"))

        hub = Hub(pass_on, store=store, name="pass_on")
        return hub

    async with (
        cluster(make_hub, delay=0.01) as processes,
        drive(processes[0]) as asker,
        drive(processes[1]) as other,
    ):
        await asker.send(other.id)
        await asyncio.sleep(0.005)
        processes.stop(0)
        await asyncio.sleep(5)
        processes.go_on(0)
        assert await asker.receive() is True
        assert await other.receive() == "hello"
