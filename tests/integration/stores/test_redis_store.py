"""`RedisStore` on a real Redis: what is stored survives whatever happens to it or on the way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from msgspec.structs import replace

from tests.support.journaled_sessions import DEADLINE, JournaledProcess
from tests.support.servers.certificates import Authority
from tests.support.servers.redis import APPEND_ONLY, RedisServer, running_redis
from transport.errors import StoreUnavailable
from transport.limits import Limits
from transport.protocol.journal import ClaimRefusal, End, Image, Refusal, Release
from transport.stores.journaled import GRACE, Ended, Failed, Found
from transport.stores.redis.store import RedisStore
from transport.stores.remote.times import Times

LIMITS = Limits()

QUICK = Times().scaled(0.25)
"""Times for tests in which the server is away: a lease lasts 1.5 s."""


@asynccontextmanager
async def running(
    source: Any, times: Times = Times(), hub: str = "chat"
) -> AsyncIterator[JournaledProcess]:
    store = RedisStore(source)
    store.times = times
    process = JournaledProcess(store.connect(hub, LIMITS))
    await process.store.start(process)
    try:
        yield process
    finally:
        await process.store.stop()


async def end_grace(server: RedisServer) -> None:
    """Let the data of a server be old."""
    async with server.client() as client:
        info = await client.info("server")
        await client.set("oc1:born", f"{info['run_id']} 0")


async def stored(server: RedisServer, session_id: str = "one") -> list[str]:
    """Return the messages of a session."""
    async with server.client() as client:
        elements: list[Any] = await client.lrange(f"oc1:s:{{{session_id}}}:d", 0, -1)
    return [element.decode() for element in elements]


def numbered(count: int) -> list[str]:
    return [f"message {number}" for number in range(count)]


async def test_messages_are_stored_once_in_order(redis_server: RedisServer) -> None:
    async with running(redis_server.url) as process:
        sessions = [await process.open(f"s{number}") for number in range(100)]
        for number in range(20):
            for session in sessions:
                session.send(f"message {number}")
            await asyncio.sleep(0)
        for session in sessions:
            await session.until_stored()
        assert process.told == []
        assert process.store.statistics.state == "ok"
    for session in sessions:
        assert await stored(redis_server, session.id) == numbered(20)


async def test_session_moves_to_another_process(redis_server: RedisServer) -> None:
    async with running(redis_server.url) as one, running(redis_server.url) as two:
        assert one.store.secret == two.store.secret
        before = await one.open("one")
        assert before.image.run == before.image.epoch == one.store.run
        before.send("hello")
        await before.until_stored()
        found = await two.store.open("opening of one", "other", two.new_image())
        assert found == Found("one", one.store.name, 1)
        located = await two.store.locate("one")
        assert located is not None
        assert (located.home, located.fence) == (one.store.name, 1)
        assert (located.subject, located.token) == ("ada", before.image.token)
        assert two.store.in_grace
        assert await two.store.claim("one", located.home, located.fence) is GRACE
        await end_grace(redis_server)
        assert await two.store.claim("one", located.home, 7) is ClaimRefusal.MOVED
        image = await two.store.claim("one", located.home, located.fence)
        assert isinstance(image, Image)
        assert image.payloads == ("hello",)
        after = two.hold("one", image)
        before.send("lost")
        await before.until(lambda: before.is_lost)
        assert before.outcomes == [None, Refusal.FENCED]
        after.send("kept")
        after.end(End(b"how it ended"))
        await after.until(lambda: after.is_lost)
        ended = await one.store.open("opening of one", "other", one.new_image())
        assert ended == Ended("one", b"how it ended")
        assert two.store.statistics.takeovers == one.store.statistics.fenced == 1


async def test_released_session_has_no_home(redis_server: RedisServer) -> None:
    async with running(redis_server.url) as process:
        session = await process.open("one")
        session.end(Release())
        await session.until(lambda: session.is_lost)
        located = await process.store.locate("one")
        assert located is not None
        assert located.home == ""
        assert await process.store.locate("two") is None


async def test_dead_process_is_known(redis_server: RedisServer) -> None:
    async with redis_server.client() as client, running(redis_server.url, QUICK) as one:
        async with running(redis_server.url, QUICK) as two, client.pubsub() as channel:
            await end_grace(redis_server)
            name = two.store.name
            assert not await one.store.is_dead(name)  # its lease is renewed
            await channel.subscribe(f"oc1:p:{name}")
            assert not await one.store.is_dead(name)
        assert await one.store.is_dead(name)  # it has given its lease up
        await client.set(f"oc1:p:{name}", "1 left by a kill", px=60_000)
        assert await one.store.is_dead(name)  # nobody receives, and nobody renews
        await client.flushall()
        assert not await one.store.is_dead(name)


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
            assert await process.store.locate("one") is not None
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
        assert process.store.is_lapsed()
        await process.until_told("renewed")
        await session.until_stored()
        assert process.told == ["lapsed", "renewed"]
        assert set(session.outcomes) == {None}
    assert await stored(redis_server) == numbered(50)
    for event in ("store_slow", "store_gone", "store_back", "store_quick"):
        assert caplog.text.count(f" {event}") == 1


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
        assert process.told.count("unreachable") == 1
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


async def test_cancelled_call_leaves_the_connection(redis_server: RedisServer) -> None:
    async with redis_server.client() as client, running(redis_server.url) as process:
        await process.open("one")
        before = {each["id"] for each in await client.client_list()}
        for _ in range(20):
            calls = [asyncio.create_task(process.store.locate("one")) for _ in range(10)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls, timeout=DEADLINE)
        assert await process.store.locate("one") is not None
        assert {each["id"] for each in await client.client_list()} == before


async def test_user_needs_only_keys_and_channels_of_the_store(tmp_path: Path) -> None:
    allowed = "+@read +@write +@scripting +@connection +@pubsub +info +time"
    user = f"ann on >secret ~oc1:* &oc1:* -@all {allowed} -@admin -flushall -flushdb -keys"
    settings = {"requirepass": "other", "user": user}
    async with running_redis(tmp_path, settings) as server:
        url = f"redis://ann:secret@127.0.0.1:{server.port}/0"
        async with running(url, QUICK) as one, running(url, QUICK) as two:
            session = await one.open("one")
            session.send("hello")
            await session.until_stored()
            assert await two.store.locate("one") is not None
            assert not await two.store.is_dead(one.store.name)
        wrong = url.replace("secret", "wrong")
        with pytest.raises(StoreUnavailable, match="username-password") as error:
            async with running(wrong):
                pass
        assert "wrong" not in str(error.value)


async def test_connections_are_encrypted_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "redis").mkdir()
    async with running_redis(tmp_path / "redis", authority=authority) as server:
        assert server.url.startswith("rediss://")
        async with running(server.url) as process:
            session = await process.open("one")
            session.send("hello")
            await session.until_stored()
        assert await stored(server) == ["hello"]
        with pytest.raises(StoreUnavailable):
            async with running(f"rediss://127.0.0.1:{server.port}/0"):
                pass


async def test_client_of_the_user_gives_its_settings(redis_server: RedisServer) -> None:
    client = redis.asyncio.Redis.from_url(
        redis_server.url, decode_responses=True, client_name="mine", socket_timeout=0.001
    )
    async with client, running(client) as process:
        session = await process.open("one")
        session.send("hello")
        await session.until_stored()
        async with redis_server.client() as other:
            names = [each["name"] for each in await other.client_list()]
        assert names.count("mine") == 2
    assert await stored(redis_server) == ["hello"]


async def test_eviction_is_refused_at_the_start(tmp_path: Path) -> None:
    async with running_redis(tmp_path, {"maxmemory-policy": "allkeys-lru"}) as server:
        with pytest.raises(RuntimeError, match="set maxmemory-policy to noeviction"):
            async with running(server.url):
                pass
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        async with running(server.url):
            pass


async def test_second_hub_of_the_same_name_is_refused(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    process = JournaledProcess(store.connect("chat", LIMITS))
    await process.store.start(process)
    with pytest.raises(RuntimeError, match="name of its own"):
        store.connect("chat", LIMITS)
    store.connect("news", LIMITS)
    await process.store.stop()
    store.connect("chat", LIMITS)


def test_what_is_no_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="schemes"):
        RedisStore("http://localhost")
    with pytest.raises(TypeError, match="and not int"):
        RedisStore(6379)  # type: ignore[arg-type]
