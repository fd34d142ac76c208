"""A client that is away while its worker stops, and comes back to another one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS, FrameClient, open_frame
from tests.support.servers.uvicorn import Server

DEADLINE = 60.0


@pytest.mark.parametrize("is_last", [False, True])
async def test_client_that_was_away_reads_its_fate(
    directory: Path, monkeypatch: pytest.MonkeyPatch, is_last: bool
) -> None:
    """Its worker has ended cleanly; another one served meanwhile, or comes only now."""
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "run"))
    first, second = (Server("tests.integration.workers.app:app") for _ in range(2))
    await asyncio.gather(first.start(), *([] if is_last else [second.start()]))
    try:
        async with asyncio.timeout(DEADLINE):
            clients = [await echoed(transport, first.port) for transport in TRANSPORTS]
            await first.stop()
            if is_last:
                await second.start()
            for client in clients:
                client.carrier = Tcp(second.port, "")
                known = {"session": client.token, "epoch": client.opened["epoch"]}
                frame = open_frame(client=client.opened["client"], attach=2, received=2, **known)
                opened = await client.open({**frame, "first_retained": 2})
                await client.carrier.close()
                reset = opened["reset"]
                assert (reset["reason"], reset["handled"], reset["lost"]) == ("shutdown", 1, [])
            await second.stop()
        for server in (first, second):
            server.assert_clean()
    finally:
        await asyncio.gather(first.kill(), second.kill())


async def echoed(transport: str, port: int) -> FrameClient:
    """Open a session, let a message be handled, and disconnect."""
    client = CLIENTS[transport](Tcp(port, ""))
    await client.open(open_frame())
    await client.confirm()
    await client.data()  # the process id
    await client.send([1, 1, "x"])
    assert await client.data() == ["x"]
    await client.carrier.close()
    return client
