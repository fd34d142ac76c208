"""Two releases side by side, while a rolling deploy replaces one by the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS, open_frame
from tests.support.servers.uvicorn import serving

DEADLINE = 60.0


async def test_releases_side_by_side_disturb_no_client(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client opens a session at one, resumes it at the other, and hears from both."""
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "run"))
    module = "tests.integration.workers"
    async with (
        asyncio.timeout(DEADLINE),
        serving(f"{module}.releases:app") as earlier,
        serving(f"{module}.later_release:app") as later,
    ):
        ports = earlier.port, later.port
        for transport in TRANSPORTS:
            clients = [await resumed(transport, *places) for places in (ports, reversed(ports))]
            for number, sender in enumerate(clients):
                await sender.send([1, 0, f"{transport} {number}"])
                for client in clients:
                    assert await client.data() == [f"{transport} {number}"]
            for client in clients:
                await client.carrier.close()


async def resumed(transport: str, first: int, then: int) -> Any:
    """Open a session on one port, and resume it on another."""
    client = CLIENTS[transport](Tcp(first, ""))
    frame = open_frame()
    opened = await client.open(frame)
    await client.carrier.close()
    client.carrier = Tcp(then, "")
    again = {**frame, "attach": 2, "session": client.token, "epoch": opened["epoch"]}
    assert (await client.open(again))["verdict"] == "resumed"
    await client.confirm()
    return client
