"""The Redis of the tests can do what tests of failures need."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError, TimeoutError

from tests.support.servers.certificates import Authority
from tests.support.servers.redis import APPEND_ONLY, RedisServer, running_redis
from transport.testing import JumpingEventLoop


async def _get(server: RedisServer) -> object:
    async with server.client() as client:
        return await client.get("key")


async def _set(server: RedisServer, value: str) -> None:
    async with server.client() as client:
        await client.set("key", value)


async def test_redis_of_a_worker_is_empty(redis_server: RedisServer) -> None:
    async with redis_server.client() as client:
        assert await client.dbsize() == 0
        await client.set("key", "left behind for the next test")


async def test_redis_after_another_test_is_empty(redis_server: RedisServer) -> None:
    async with redis_server.client() as client:
        assert await client.dbsize() == 0


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingEventLoop})])
async def test_redis_leaves_each_test_its_event_loop(redis_server: RedisServer) -> None:
    assert isinstance(asyncio.get_running_loop(), JumpingEventLoop)


async def test_killed_redis_returns_as_it_was_saved(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as server:
        await _set(server, "old")
        await server.save()
        await _set(server, "new")
        await server.kill()
        await server.restart(keep=True)
        assert await _get(server) == b"old"
        await server.restart(keep=False)
        assert await _get(server) is None


async def test_killed_redis_with_a_log_loses_nothing(tmp_path: Path) -> None:
    async with running_redis(tmp_path, APPEND_ONLY) as server:
        await _set(server, "value")
        await server.restart(keep=True)
        assert await _get(server) == b"value"
        await server.restart(keep=False)
        assert await _get(server) is None


async def _is_silent(server: RedisServer) -> bool:
    """Return whether it accepts a connection but does not answer on it."""
    client = redis.asyncio.Redis.from_url(
        server.url, socket_timeout=0.05, socket_connect_timeout=30, retry=None
    )
    async with client:
        with pytest.raises(TimeoutError):
            await client.ping()
    return True


async def test_suspended_redis_answers_when_resumed(redis_server: RedisServer) -> None:
    redis_server.suspend()
    try:
        assert await _is_silent(redis_server)
    finally:
        redis_server.resume()
    assert await _get(redis_server) is None


async def test_paused_redis_is_silent(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as server:
        await server.pause(60)
        assert await _is_silent(server)


async def test_redis_with_tls_and_users_admits_them(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    users = {"requirepass": "secret", "user": "ann on >password ~oc1:* &oc1:* +@all"}
    async with running_redis(tmp_path, users, authority) as server:
        assert server.url.startswith("rediss://")
        await _set(server, "value")
        ann = server.url.replace(":secret@", "ann:password@")
        async with redis.asyncio.Redis.from_url(ann) as client:
            await client.set("oc1:key", "value")
            with pytest.raises(NoPermissionError):
                await client.set("key", "value")
        async with redis.asyncio.Redis.from_url(ann.replace("password", "x")) as client:
            with pytest.raises(AuthenticationError):
                await client.ping()
