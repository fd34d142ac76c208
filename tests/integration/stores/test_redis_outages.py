"""`RedisStore` on a real Redis that is slow, gone, restarted, full or broken: nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Connection, ConnectionPool, Redis

from tests.support.journaled_sessions import DEADLINE
from tests.support.redis_processes import (
    QUICK,
    end_grace,
    numbered,
    running,
    stored,
)
from tests.support.servers.redis import APPEND_ONLY, RedisServer, running_redis
from transport.errors import StoreUnavailable
from transport.protocol.journal import Image, Refusal
from transport.stores.journaled import Failed, Located


@pytest.mark.parametrize("kind", ["kill", "load"])
async def test_connections_that_end_are_made_again(redis_server: RedisServer, kind: str) -> None:
    async with redis_server.client() as client, running(redis_server.url) as process:
        session = await process.open("one")
        for number in range(30):
            session.send(f"message {number}")
            await asyncio.sleep(0)
            if number % 10 == 5:
                if kind == "kill":
                    await client.client_kill_filter(_type="normal", skipme=True)
                else:
                    await client.script_flush()
            await process.open(f"other {number}")
        await session.until_stored()
        assert process.told == []
    assert await stored(redis_server) == numbered(30)


async def test_pause_past_the_deadline_loses_nothing(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The flight is repeated several times; what was sent over dropped connections runs late."""
    caplog.set_level(logging.INFO, "transport")
    async with running(redis_server.url, QUICK) as process:
        session = await process.open("one")
        await redis_server.pause(7 * 0.25)
        for number in range(50):
            session.send(f"message {number}")
            await asyncio.sleep(0.01)
        await process.until_told("lapsed")
        await process.until_told("renewed")
        await session.until_stored()
        assert process.told[:2] == ["lapsed", "renewed"]
        assert set(session.outcomes) == {None}
    assert await stored(redis_server) == numbered(50)
    events = Counter(record.__dict__["event"] for record in caplog.records)
    assert events["store_slow"] == events["store_quick"] > 0
    assert events["store_gone"] == process.told.count("lapsed")
    assert events["store_back"] == process.told.count("renewed")


async def test_flushall_is_healed(redis_server: RedisServer) -> None:
    async with redis_server.client() as client, running(redis_server.url) as process:
        session, idle = await process.open("one"), await process.open("idle")
        session.send("one")
        await session.until_stored()
        secret = await client.get("oc1:secret")
        await client.flushall()
        session.send("two")
        await process.until_told("lost")
        assert process.store.in_grace
        await session.until_stored()
        await idle.until_stored()
        assert await process.store.locate("idle") is not None
        assert process.store.statistics.healed == 2
        assert await client.get("oc1:secret") == secret == process.store.secret
    assert await stored(redis_server) == ["one", "two"]


async def test_log_that_is_lost_alone_is_healed(redis_server: RedisServer) -> None:
    """It lasts less long than its record, and may expire while Redis cannot be reached."""
    async with redis_server.client() as client, running(redis_server.url) as process:
        session = await process.open("one")
        session.send("one", "two")
        await session.until_stored()
        await client.delete("oc1:s:{one}:d")
        session.send("three")
        await session.until_stored()
        assert process.store.statistics.healed == 1
    assert await stored(redis_server) == ["one", "two", "three"]


@pytest.mark.parametrize("keep", [True, False])
async def test_restart_loses_nothing(tmp_path: Path, keep: bool) -> None:
    async with running_redis(tmp_path, APPEND_ONLY) as server, running(server.url) as process:
        session, idle = await process.open("one"), await process.open("idle")
        session.send("one")
        await session.until_stored()
        run = process.store.run
        await server.kill()
        session.send("two")
        await server.restart(keep=keep)
        await process.until_told("lost")
        await session.until_stored()
        await idle.until_stored()
        assert process.store.run != run
        assert process.store.in_grace
        assert process.told == ["lost"]
        assert await stored(server) == ["one", "two"]
        assert await process.store.locate("idle") is not None


async def test_outage_is_told_once(tmp_path: Path) -> None:
    times = replace(QUICK, unreachable=1.6)
    async with running_redis(tmp_path) as server, running(server.url, times) as process:
        session = await process.open("one")
        await server.kill()
        session.send("hello")
        await process.until_told("unreachable")
        with pytest.raises(StoreUnavailable):
            await process.store.locate("one")
        assert process.store.statistics.state == "gone"
        await server.restart(keep=False)
        await process.until_told("reachable")
        await process.until_told("lost")
        await session.until_stored()
        assert await stored(server) == ["hello"]


async def test_old_data_are_replaced_by_a_living_home(tmp_path: Path) -> None:
    async with running_redis(tmp_path) as server, running(server.url) as process:
        session = await process.open("one")
        session.send("one")
        await session.until_stored()
        await server.save()
        session.send("two")
        await session.until_stored()
        await server.restart(keep=True)
        await process.until_told("lost")
        await session.until_stored()
        assert session.outcomes[-2:] == [Refusal.BEHIND, None]
        assert await stored(server) == ["one", "two"]


async def test_full_memory_delays_what_is_stored(tmp_path: Path) -> None:
    async with (
        running_redis(tmp_path) as server,
        server.client() as client,
        running(server.url) as process,
    ):
        session = await process.open("one")
        await client.config_set("maxmemory", "1")
        session.send("hello")
        with pytest.raises(StoreUnavailable, match="OOM command not allowed"):
            await process.open("two")
        assert session.outcomes == []
        await client.config_set("maxmemory", "0")
        await session.until_stored()
        assert await stored(server) == ["hello"]


async def test_failed_save_delays_what_is_stored(tmp_path: Path) -> None:
    """MISCONF: Redis cannot write its data to disk, and so refuses to change it."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = {"dir": str(folder), "save": "3600 1000000"}
    async with (
        running_redis(tmp_path, settings) as server,
        server.client() as client,
        running(server.url) as process,
    ):
        session = await process.open("one")
        folder.rmdir()
        await client.bgsave()
        async with asyncio.timeout(DEADLINE):
            while (  # noqa: ASYNC110 - no event announces it
                await client.info("persistence")
            )["rdb_last_bgsave_status"] != "err":
                await asyncio.sleep(0.01)
        session.send("hello")
        with pytest.raises(StoreUnavailable, match="MISCONF"):
            await process.open("two")
        assert session.outcomes == []
        await client.config_set("save", "")
        await session.until_stored()
        assert await stored(server) == ["hello"]


async def test_defective_write_fails_its_session_only(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A text that is not UTF-8 cannot come from a channel: its encoder refuses it."""
    async with running(redis_server.url) as process:
        one, two = await process.open("one"), await process.open("two")
        one.send("\ud800")
        two.send("hello")
        await two.until_stored()
        await one.until(lambda: one.is_lost)
        assert one.outcomes == [Failed("UnicodeEncodeError in this package")]
        assert "store_failed call=write" in caplog.text
    assert await stored(redis_server, "two") == ["hello"]


async def test_broken_record_fails_its_session_only(redis_server: RedisServer) -> None:
    async with redis_server.client() as client, running(redis_server.url) as process:
        one, two = await process.open("one"), await process.open("two")
        await client.set("oc1:s:{one}", "not a hash")
        one.send("hello")
        two.send("hello")
        await two.until_stored()
        await one.until(lambda: one.is_lost)
        [failed] = one.outcomes
        assert isinstance(failed, Failed)
        assert "WRONGTYPE" in failed.text
        with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
            await process.store.locate("one")
    assert await stored(redis_server, "two") == ["hello"]


async def test_damaged_record_fails_what_asks_for_it_only(redis_server: RedisServer) -> None:
    async with running(redis_server.url) as process, redis_server.client() as client:
        await process.open("one")
        await client.hset("oc1:s:{two}", "f", "1")
        damaged, whole = await asyncio.gather(
            process.store.locate("two"), process.store.locate("one"), return_exceptions=True
        )
        assert isinstance(whole, Located)
        assert isinstance(damaged, StoreUnavailable)
        assert "the record of a session has no field" in str(damaged)


async def test_session_whose_log_is_another_type_is_torn(redis_server: RedisServer) -> None:
    """The process that claims it resets it, and so deletes the key."""
    async with running(redis_server.url) as process, redis_server.client() as client:
        session = await process.open("one")
        session.send("hello")
        await session.until_stored()
        await client.set("oc1:s:{one}:d", "not a list")
        await end_grace(redis_server)
        image = await process.store.claim("one", process.store.name, 1)
        assert isinstance(image, Image)
        assert image.is_torn


async def test_demoted_master_is_left_for_the_new_one(tmp_path: Path) -> None:
    """It keeps its connections, and refuses writes; new connections reach another Redis."""
    ports: list[int] = []

    class Moving(Connection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options | {"port": ports[-1]})

    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    async with running_redis(folders[0]) as old, running_redis(folders[1]) as new:
        ports.append(old.port)
        pool = ConnectionPool(Moving, host="127.0.0.1", port=old.port)
        async with running(Redis(connection_pool=pool), QUICK) as process, old.client() as client:
            session, idle = await process.open("one"), await process.open("idle")
            session.send("one")
            await session.until_stored()
            ports.append(new.port)
            await client.replicaof("127.0.0.1", str(new.port))
            await process.until_told("lost")
            session.send("two")
            await session.until_stored()
            await idle.until_stored()
            assert await stored(new) == ["one", "two"]
            assert not process.store.is_lapsed()
