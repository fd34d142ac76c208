"""A worker that comes while another one is too busy to notice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.server.relay.conftest import DEADLINE, bus_of
from tests.unit.server.relay.test_topics import Stopped, silent

MakeCluster = Callable[..., Any]


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", Stopped.PROGRAM, str(folder / "w")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_worker_that_came_meanwhile_is_asked(make_cluster: MakeCluster, folder: Path) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(silent, 1, name="silent") as cluster:
        [hub] = cluster.hubs
        await hub.broadcast("x")  # it has joined
        process = start(folder)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            name = process.stdout.readline().strip()  # blocks the event loop
            assert name not in bus_of(hub).peers
            assert (await hub.statistics()).processes == 2
        finally:
            process.stdin.close()
            process.stdout.close()
            await asyncio.to_thread(process.wait, DEADLINE)
