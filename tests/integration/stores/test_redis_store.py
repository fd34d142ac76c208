"""`RedisStore` on a real Redis: sessions are opened, written, found and claimed."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from msgspec.structs import replace

from tests.support.journaled_sessions import DEADLINE, JournaledProcess
from tests.support.redis_processes import (
    LIMITS,
    QUICK,
    end_grace,
    numbered,
    running,
    store_of,
    stored,
)
from tests.support.servers.certificates import Authority
from tests.support.servers.redis import RedisServer, running_redis
from transport.bus.redis_store import RedisStore
from transport.errors import StoreUnavailable
from transport.protocol.journal import ClaimRefusal, End, Image, Refusal, Release
from transport.stores.journaled import GRACE, Ended, Found, Made


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


async def test_idle_session_takes_at_most_400_bytes(redis_server: RedisServer) -> None:
    async with running(redis_server.url) as process, redis_server.client() as client:
        image = replace(
            process.new_image(),
            version=2_000_000,
            subject="ann@example.org",
            token=bytes(range(224, 256)),
            hub="app.chat:chat",
            holder="client0123456789",
            handled=1_000_000,
            acked=1_000_000,
            last=1_000_000,
            confirmed=70_000,
        )
        session_id = process.store.name + "Kq3vM8sLxPzT"
        assert isinstance(await process.store.open("n" * 43, session_id, image), Made)
        size = await client.memory_usage(f"oc1:s:{{{session_id}}}")
        assert size is not None
        assert size <= 400


async def test_long_name_of_a_hub_is_given_back(redis_server: RedisServer) -> None:
    """Redis keeps a hash of it."""
    hub = "application.realtime.handlers.conversations.serve"
    async with running(redis_server.url, hub=hub) as process:
        image = replace(process.new_image(), hub=hub)
        await process.store.open("opening", "one", image)
        await process.store.open("another", "two", replace(image, hub="x" * 50))
        await end_grace(redis_server)
        located, other = await process.store.locate("one"), await process.store.locate("two")
        assert located is not None
        assert other is not None
        assert located.hub == hub != other.hub
        claimed = await process.store.claim("one", located.home, located.fence)
        assert isinstance(claimed, Image)
        assert claimed.hub == hub


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


async def test_second_hub_of_the_same_name_is_refused(redis_server: RedisServer) -> None:
    shared = RedisStore(redis_server.url)
    process = JournaledProcess(store_of(shared, "chat"))
    await process.store.start(process)
    with pytest.raises(RuntimeError, match="name of its own"):
        shared.join("chat", LIMITS)
    shared.join("news", LIMITS)
    await process.store.stop()
    store = store_of(shared, "chat")
    with pytest.raises(RuntimeError, match="name of its own"):  # though that has not started yet
        shared.join("chat", LIMITS)
    store.close()
    shared.join("chat", LIMITS)


def test_store_of_a_closed_loop_ends_its_connections(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody closes what the closed loop had: that is the case here.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    async def start() -> JournaledProcess:
        process = JournaledProcess(store_of(RedisStore(redis_server.url), "chat"))
        await process.store.start(process)
        return process

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    process = loop.run_until_complete(start())
    loop.close()
    process.store.close()
    process.store.close()
    gc.collect()

    async def until_alone() -> None:
        async with redis_server.client() as client, asyncio.timeout(DEADLINE):
            while len(await client.client_list()) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(until_alone())


async def test_store_that_has_started_starts_no_second_time(redis_server: RedisServer) -> None:
    async with redis_server.client() as client, running(redis_server.url) as process:
        before = len(await client.client_list())
        await process.store.start(process)
        assert len(await client.client_list()) == before


async def test_process_has_one_name_on_bus_and_store(redis_server: RedisServer) -> None:
    bus, store, _ = RedisStore(redis_server.url).join("chat", LIMITS)
    assert store is not None
    assert bus.name == store.name
    assert bus.is_alive(store.name)


@pytest.mark.parametrize(("prefix", "error"), [(b"chat:", TypeError), ("\ud800", ValueError)])
def test_prefix_that_no_key_can_begin_with_is_refused(prefix: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="prefix"):
        RedisStore("redis://localhost", prefix=prefix)


async def test_names_and_prefix_may_hold_any_character(redis_server: RedisServer) -> None:
    """What Redis reads as a pattern elsewhere, too."""
    shared = RedisStore(redis_server.url, prefix="a b\n{*[?]}é:")
    for hub in ("", "*", "a\0}{", "h" * 1000):
        process = JournaledProcess(store_of(shared, hub))
        await process.store.start(process)
        session = await process.open(f"one of {hub[:9]}")
        session.send("hello")
        await session.until_stored()
        assert await process.store.locate(session.id) is not None
        await process.store.stop()


def test_what_is_no_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="not the URL of a Redis"):
        RedisStore("http://localhost")
    with pytest.raises(TypeError, match="and not int"):
        RedisStore(6379)  # type: ignore[arg-type]


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transport.stores.redis.sessions", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'onechannel\[redis\]'"):
        RedisStore("redis://localhost")
