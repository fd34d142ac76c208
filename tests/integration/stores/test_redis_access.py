"""The access to Redis that docs/scaling.md advises is enough, and opens nothing else."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from tests.support.servers.redis import running_redis
from transport import Channel, Hub, RedisStore
from transport.testing import drive

DOCUMENT = Path(__file__).parents[3] / "docs/scaling.md"
[USER] = re.findall(r"^user (.*)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
[CONNECTIONS] = map(
    int, re.findall(r"connections of a process to Redis \| (\d+);", DOCUMENT.read_text("utf-8"))
)


async def test_documented_user_can_run_a_hub(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two processes with a group: they meet, write, publish and stop without a refusal."""
    name, password = USER.split()[0], "a-password"
    settings = {"user": USER.replace("a-long-password", password), "requirepass": "admin"}
    async with running_redis(tmp_path, settings) as server:
        url = f"redis://{name}:{password}@127.0.0.1:{server.port}/0"

        async def chat(channel: Channel) -> None:
            await lobby.add(channel)
            async for message in channel:
                await lobby.send(message)

        with caplog.at_level(logging.WARNING, "transport"):
            hubs = [Hub(chat, store=RedisStore(url), name="chat") for _ in range(2)]
            lobby = hubs[0].group("lobby")
            async with (
                hubs[1].lifespan(),
                hubs[0].lifespan(),
                drive(hubs[0]) as one,
                drive(hubs[0]) as two,
            ):
                await one.send("hello")
                assert [await page.receive() for page in (one, two)] == ["hello", "hello"]
                assert (await hubs[0].statistics()).processes == 2
                for hub in hubs:
                    await hub.close_user("nobody")
                async with server.client() as client:
                    users = [each["user"] for each in await client.client_list()]
                assert users.count(name) == 2 * CONNECTIONS
        assert caplog.messages == []
        async with server.client() as client:
            keys: list[Any] = await client.keys()
            assert {key.partition(b":")[0] for key in keys} == {b"oc1"}
        async with Redis.from_url(url) as client:
            for forbidden in (client.get("other"), client.keys(), client.flushall()):
                with pytest.raises(NoPermissionError):
                    await forbidden
