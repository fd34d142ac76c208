"""No secret of a client is in what its edge sends to another process (IDN-3, REN-1)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.clients.secret_tour import tour
from tests.support.servers.uvicorn import serving

APP = "tests.integration.workers.recorded:app"
DEADLINE = 60.0


async def test_no_secret_is_among_the_bytes_between_workers(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of openings, resumes and their renewals, over each transport and by POST."""
    record = directory / "record"
    os.mkdir(record)
    monkeypatch.setenv("RECORD_TO", str(record))
    monkeypatch.setenv("ONECHANNEL_WORKERS", str(directory / "run"))
    async with asyncio.timeout(DEADLINE), serving(APP) as first, serving(APP) as second:
        ids, secrets = await tour(first, second)
    said = b"".join([each.read_bytes() for each in record.iterdir()])
    assert [each for each in ids if each.encode() not in said] == []
    assert b"echo 2" in said
    assert [each for each in secrets if each.encode() in said] == []
