"""A worker serves nobody before it knows the others, and tries until it does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.server.relay.conftest import DEADLINE, echo, poll
from transport import Hub
from transport.bus.workers import SharedWorkers
from transport.testing import ask, lines, opening


async def test_worker_that_cannot_join_tries_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("transport.server.relay.relay.JOIN_INTERVAL", 0.05)
    hub = Hub(echo, store=SharedWorkers(folder / "w"))
    async with asyncio.timeout(DEADLINE), hub.lifespan():
        [directory] = (folder / "w").iterdir()
        (folder / "w").chmod(0o755)  # before the loop runs the bus
        answer = await ask(hub, "/poll", lines(opening(1)))
        assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
        (folder / "w").chmod(0o700)
        await poll(lambda: list(directory.glob("*.sock")))
        runtime = hub._lifecycle.current
        assert runtime is not None
        assert runtime._relay is not None
        relay = runtime._relay
        await poll(lambda: relay._has_joined)
        assert (await ask(hub, "/poll", lines(opening(2)))).status == 200
        assert caplog.text.count("workers_failed") == 1
