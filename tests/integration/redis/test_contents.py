"""What a Redis is sent and keeps: no secrets, and nothing for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.redis.conftest import IS_FULL
from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS, open_frame
from tests.support.clients.secret_tour import tour
from tests.support.figures import tell
from tests.support.servers.redis import RedisServer, running_redis
from tests.support.servers.uvicorn import serving
from transport.stores.redis.keys import Keys

APP = "tests.integration.redis.identified:app"
DEADLINE = 600.0 if IS_FULL else 60.0
BOUND = 400
"""Bytes of an idle session."""
_MARK = b"-- the end of what is monitored --"
LASTING = {Keys().born.encode(), Keys().secret.encode()}
"""The keys that have no life."""


@pytest.fixture
async def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisServer]:
    """Run a Redis of its own, which the applications use."""
    async with running_redis(tmp_path) as server:
        monkeypatch.setenv("REDIS_URL", server.url)
        monkeypatch.setenv("LIMITS", "{}")
        yield server


@asynccontextmanager
async def monitored(redis: RedisServer) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    """Read MONITOR while the block runs; call what it gives for all that was there until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(b"MONITOR\r\n")
    lines = [await reader.readline()]

    async def read() -> bytes:
        async with redis.client() as client:
            await client.echo(_MARK)
        while _MARK not in lines[-1]:
            lines.append(await reader.readline())
        return b"".join(lines)

    yield read
    writer.close()


async def lives(redis: RedisServer) -> dict[bytes, int]:
    """Return the keys, and for each the milliseconds that it lives on; -1 is for ever."""
    async with redis.client() as client:
        return {key: int(await client.pttl(key)) async for key in client.scan_iter()}


async def test_no_secret_is_sent_to_redis(redis: RedisServer) -> None:
    """No token, nonce or credential of openings, resumes and renewals (IDN-3, REN-1)."""
    async with serving(APP), redis.client() as client:
        while not isinstance(key := await client.get(Keys().secret), bytes):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # until the key of the tokens is made
    async with monitored(redis) as read, serving(APP) as first, serving(APP) as second:
        ids, secrets = await tour(first, second)
        said = await read()
    assert [each for each in ids if each.encode() not in said] == []
    assert b"echo 2" in said
    assert [each for each in secrets if each.encode() in said] == []
    assert key not in said
    assert repr(key)[2:-1].encode() not in said


async def test_idle_session_takes_few_bytes(redis: RedisServer) -> None:
    """As Redis counts them; it has one key, as nothing waits for its client."""
    async with serving(APP) as server:
        client = CLIENTS["websocket"](Tcp(server.port, ""))
        opened = await client.open(open_frame())
        await client.confirm()
        for number in range(1, 4):
            await client.send([number, 0, None])
        record = Keys().record(opened["id"])
        async with redis.client() as commands:
            while await commands.hget(record, "h") != b"3":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            keys = [key async for key in commands.scan_iter(f"*{opened['id']}*")]
            size = await commands.memory_usage(record) or 0
        await client.carrier.close()
    tell("idle session", bytes=size)
    assert keys == [record.encode()]
    assert 0 < size <= BOUND


async def test_nothing_is_left_in_redis_after_its_life(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sessions that were closed, and of others whose clients did not come back.

    The short form looks whether everything has a life; the full one waits until it is over.
    """
    times = {"heartbeat": 0.1, "poll_hold": 0.5, "ttl": 5.5}
    lives_of = {"away": 1, "tombstone": 1, "nonce": 1}
    monkeypatch.setenv("LIMITS", json.dumps(times | lives_of))
    async with serving(APP) as server:
        for transport in TRANSPORTS:
            for closes in (True, False):
                client = CLIENTS[transport](Tcp(server.port, ""))
                await client.open(open_frame())
                await client.confirm()
                await client.send([1, 0, "x"])
                assert await client.data() == ["x"]
                if closes:
                    await client.send(
                        {
                            "type": "close",
                            "code": 1000,
                            "reason": "",
                            "by": "app",
                            "last": 1,
                            "ack": 1,
                        }
                    )
                await client.carrier.close()
        found = await lives(redis)
        assert len(found) > len(LASTING)
        assert {key for key, life in found.items() if life == -1} == LASTING
    found = await lives(redis)
    assert {key for key, life in found.items() if life == -1} == LASTING
    if IS_FULL:
        await until(redis, lambda keys: keys.keys() == LASTING)
    tell("left in Redis", keys=len(found), longest=max(found.values()) / 1000)


async def until(redis: RedisServer, condition: Callable[[dict[bytes, int]], Any]) -> None:
    """Wait until a condition of the keys and their lives holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition(await lives(redis)):  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.05)
