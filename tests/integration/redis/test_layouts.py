"""Two releases with different layouts in one Redis: neither sees what the other has there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, open_frame
from tests.support.redis_processes import end_grace
from tests.support.servers.redis import running_redis
from tests.support.servers.uvicorn import serving

DEADLINE = 60.0
LAYOUTS = ("oc1", "oc2")
"""Of `identified` and of `other_layout`."""


async def test_layouts_side_by_side_share_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that reaches a process of the other layout is reset, and its session stays."""
    async with asyncio.timeout(DEADLINE), running_redis(tmp_path) as redis:
        for layout in LAYOUTS:
            await end_grace(redis, layout)
        monkeypatch.setenv("REDIS_URL", redis.url)
        monkeypatch.setenv("LIMITS", "{}")
        module = "tests.integration.redis"
        async with (
            serving(f"{module}.identified:app") as earlier,
            serving(f"{module}.other_layout:app") as later,
        ):
            for home, other in ((earlier, later), (later, earlier)):
                client = CLIENTS["websocket"](Tcp(home.port, ""))
                frame = open_frame()
                opened = await client.open(frame)
                await client.confirm()
                known = {"session": client.token, "epoch": opened["epoch"]}
                await client.carrier.close()

                client.carrier = Tcp(other.port, "")
                there = await client.open({**frame, "attach": 2, **known})
                assert (there["verdict"], there["reset"]["reason"]) == ("reset", "unknown")
                await client.carrier.close()

                client.carrier = Tcp(home.port, "")
                again = await client.open({**frame, "attach": 3, **known})
                assert again["verdict"] == "resumed"
                await client.carrier.close()
            async with redis.client() as commands:
                names: list[Any] = [*await commands.keys(), *await commands.pubsub_channels()]
        kinds = [
            {name.split(b":")[1] for name in names if name.startswith(layout.encode())}
            for layout in LAYOUTS
        ]
        assert kinds[0] == kinds[1]
