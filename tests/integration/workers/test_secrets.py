"""No secret of a client is in what its edge sends to another process (IDN-3, REN-1)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS, FrameClient, open_frame
from tests.support.servers.uvicorn import serving

APP = "tests.integration.workers.recorded:app"
DEADLINE = 60.0
CREDENTIALS = "credentials-that-are-secret"


async def test_no_secret_is_among_the_bytes_between_workers(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of openings, resumes and their renewals, over each transport and by POST."""
    record = directory / "record"
    os.mkdir(record)
    monkeypatch.setenv("RECORD_TO", str(record))
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "run"))
    ids, secrets = set(), {CREDENTIALS}
    async with asyncio.timeout(DEADLINE), serving(APP) as first, serving(APP) as second:
        for transport in TRANSPORTS:
            for home, edge in ((first, second), (second, first)):
                frame = open_frame(credentials=f"{CREDENTIALS} of an open")
                client = CLIENTS[transport](Tcp(home.port, ""))
                opened = await client.open(frame)
                ids.add(opened["id"])
                secrets |= {frame["nonce"], client.token.partition(".")[2]}
                token = client.token
                await client.carrier.close()
                client.carrier = Tcp(edge.port, "")
                # The opening is repeated, and then the session is resumed.
                assert (await client.open({**frame, "attach": 2}))["session"] == token
                known = {"session": token, "epoch": opened["epoch"]}
                assert (await client.open({**frame, "attach": 3, **known}))["verdict"] == "resumed"
                await renew(client)
                await client.carrier.close()
    said = b"".join([each.read_bytes() for each in record.iterdir()])
    assert [each for each in ids if each.encode() not in said] == []
    assert b"echo 2" in said
    assert [each for each in secrets if each.encode() in said] == []


async def renew(client: FrameClient) -> None:
    """Send fresh credentials as the transport does, and by a POST."""
    renewal: dict[str, Any] = {"type": "renew", "credentials": f"{CREDENTIALS} of a renewal"}
    await client.confirm()
    await client.send(renewal, [1, 0, "echo 1"])
    assert await client.data() == ["echo 1"]
    answer = await client.post(renewal, [2, 1, "echo 2"], renewal)
    assert answer.status == 200, answer
    assert await client.data() == ["echo 2"]
