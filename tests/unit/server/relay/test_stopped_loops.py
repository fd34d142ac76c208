"""What is left of a worker whose event loop was closed while its hub ran."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from tests.support.clients.carriers import InProcess
from tests.support.clients.frame_client import CLIENTS, frame_client
from tests.unit.server.relay.conftest import echo, poll
from tests.unit.server.relay.test_edges import resuming
from transport import Hub
from transport.bus.workers import SharedWorkers


@pytest.fixture(autouse=True)
def discarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody closes what the closed loop had: that is the case here."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)


def open_sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            count += stat.S_ISSOCK(os.fstat(int(name)).st_mode)
    return count


def test_hub_starts_again_after_its_loop_was_closed(folder: Path) -> None:
    """It had a connection of another worker's session, and was listening."""
    before = open_sockets()
    a, b = (Hub(echo, store=SharedWorkers(folder / "w")) for _ in range(2))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)

    async def serve() -> None:
        for hub in (a, b):
            await hub.lifespan().__aenter__()
        runtime = b._lifecycle.current
        assert runtime is not None
        assert runtime._relay is not None
        bus = runtime._relay._bus
        await poll(lambda: bus.peers)
        async with frame_client(a, "websocket") as first:
            pass
        client = CLIENTS["websocket"](InProcess(b))
        await client.open(resuming(first, 2))

    loop.run_until_complete(serve())
    [path] = (folder / "w").iterdir()
    sockets = set(path.glob("*.sock"))
    assert len(sockets) == 2
    for each in sockets:
        (folder / each.name).hardlink_to(each)
    loop.close()

    async def again() -> None:
        for hub in (a, b):
            async with hub.lifespan():
                pass

    gc.disable()
    try:
        asyncio.run(again())
        assert open_sockets() == before
    finally:
        gc.enable()
    for each in sockets:
        assert not each.exists()
        with socket.socket(socket.AF_UNIX) as one, pytest.raises(ConnectionRefusedError):
            one.connect(str(folder / each.name))
    gc.collect()
