"""Workers that are replaced, and their clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.integration.workers.conftest import APP, checked
from tests.support.clients.members import DEADLINE, members
from tests.support.servers.uvicorn import UVICORN, Server


@pytest.fixture
async def reloader(tmp_path: Path, directory: Path) -> AsyncIterator[Server]:
    """Run uvicorn with --reload, and a module whose change makes it reload."""
    module = tmp_path / "reloaded.py"
    module.write_text(f"from {APP.replace(':', ' import ')}\n", "utf-8")
    arguments = ["--reload", "--reload-dir", str(tmp_path), "--app-dir", str(tmp_path)]
    host = replace(UVICORN, ready="Application startup complete")
    async with checked(Server("reloaded:app", tuple(arguments), host=host), directory) as server:
        yield server


async def test_reload_tells_the_truth_and_leaves_nothing(reloader: Server, tmp_path: Path) -> None:
    """Clients learn that their session has ended, and go on in the new process."""
    module = tmp_path / "reloaded.py"
    async with members(f"{reloader.url}/", 1) as crowd, asyncio.timeout(DEADLINE):
        before = {member.pid for member in crowd}
        assert len(before) == 1
        while not any("detected changes" in line for line in reloader.log):
            module.write_text(module.read_text("utf-8") + "#\n", "utf-8")
            await anyio.sleep(0.2)  # the reloader may not watch yet
        for member in crowd:
            await member.until(lambda member=member: member.resets)  # type: ignore[misc]
            await member.until_served()
            await member.echo()
            await member.say()
        assert {member.pid for member in crowd}.isdisjoint(before)
        assert {reason for member in crowd for reason in member.resets} <= {"shutdown", "restarted"}
        assert [len(member.resets) for member in crowd] == [1, 1, 1]
