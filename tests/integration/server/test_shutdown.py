"""SIGTERM ends the process promptly, and every client is asked to reconnect (DRN-1)."""

from __future__ import annotations

import os
import signal
from itertools import combinations

import pytest

from tests.support.clients.frame_client import TRANSPORTS
from tests.support.servers.listener import listeners
from tests.support.servers.uvicorn import serving

ROUNDS = int(os.environ.get("SHUTDOWN_ROUNDS", "3"))
"""Rounds of each combination; a campaign runs more."""

COMBINATIONS = [combination for size in (1, 2, 3) for combination in combinations(TRANSPORTS, size)]


@pytest.mark.parametrize("transports", COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_sigterm_ends_uvicorn_and_tells_every_client(
    transports: tuple[str, ...], round_: int
) -> None:
    """No timer of the server ends in this time: it stops because every client gets a drain."""
    async with (
        serving("tests.support.apps:patient") as server,
        listeners(f"{server.url}/chat", *transports) as clients,
    ):
        await server.stop(signal.SIGTERM)
        for client in clients:
            await client.until_ended()
        drains = {repr(client): client.frames[-1:] for client in clients}
        assert all(
            frames and frames[0]["type"] == "drain" and frames[0]["retry_in"] >= 0
            for frames in drains.values()
        ), drains
        codes = [client.code for client in clients if client.transport == "websocket"]
        assert codes == [1012] * len(codes)


async def test_sigterm_neither_closes_nor_resets_sessions() -> None:
    """A drain is not a close: no client gets a close or a reset."""
    async with (
        serving("tests.support.apps:patient") as server,
        listeners(f"{server.url}/chat", *TRANSPORTS) as clients,
    ):
        await server.stop()
        for client in clients:
            await client.until_ended()
            kinds = [frame["type"] for frame in client.frames if isinstance(frame, dict)]
            assert "close" not in kinds
            assert "reset" not in kinds
