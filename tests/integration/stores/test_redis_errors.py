"""A Redis that a hub cannot use: its log says once what is wrong, and what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.journaled_sessions import DEADLINE
from tests.support.servers.certificates import Authority
from tests.support.servers.redis import RedisServer, running_redis
from tests.support.servers.uvicorn import free_port
from transport import Channel, Hub, RedisStore, StoreUnavailable
from transport.stores.redis import connections
from transport.testing import ask, lines, opening

SECRET = "a-password"
ALL = "+@all -@admin -@dangerous +info"


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def complaint(url: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return what the log of a hub says while the hub tries to start, and fails."""
    hub = Hub(echo, store=RedisStore(url), name="chat")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "transport"):
        async with asyncio.timeout(DEADLINE), hub.lifespan():
            answer = await ask(hub, "/poll", lines(opening(1)))
            assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
            with pytest.raises(StoreUnavailable):
                await hub.broadcast("hello")
    [record] = caplog.records
    text = record.getMessage()
    assert text.startswith("store_unusable: ")
    assert SECRET not in text + (record.exc_text or "")
    return text


@pytest.mark.parametrize(
    ("settings", "login", "words"),
    [
        ({"requirepass": "another"}, "", ["NOAUTH", "write its password into the URL"]),
        ({"requirepass": "another"}, f":{SECRET}@", ["WRONGPASS", "correct the user or the pass"]),
        ({"requirepass": "another"}, f"{SECRET}@", ["WRONGPASS"]),
        (
            {"user": f"ann on >{SECRET} ~other:* &oc1:* {ALL}"},
            f"ann:{SECRET}@",
            ["NOPERM", "keys", "ACL", "docs/scaling.md"],
        ),
        (
            {"user": f"ann on >{SECRET} ~oc1:* &other:* {ALL}"},
            f"ann:{SECRET}@",
            ["NOPERM", "channels", "ACL", "docs/scaling.md"],
        ),
        (
            {"user": f"ann on >{SECRET} ~oc1:* &oc1:* {ALL} -pubsub"},
            f"ann:{SECRET}@",
            ["can't run this command", "ACL", "docs/scaling.md"],
        ),
        ({"cluster-enabled": "yes"}, "", ["does not work with Redis Cluster", "Sentinel"]),
        ({"replicaof": "127.0.0.1 1"}, "", ["READONLY", "this is a replica", "master"]),
        ({"maxmemory-policy": "allkeys-lru"}, "", ["set maxmemory-policy to noeviction"]),
        ({"databases": "1"}, "", ["no database of the number"]),
    ],
    ids=[
        *("no password", "password", "password as user", "ACL of keys", "ACL of channels"),
        *("ACL of commands", "cluster", "replica", "policy", "database"),
    ],
)
async def test_refusal_of_redis_is_told_with_what_to_do(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    settings: Mapping[str, str],
    login: str,
    words: list[str],
) -> None:
    async with running_redis(tmp_path, settings) as server:
        database = 7 if "databases" in settings else 0
        text = await complaint(f"redis://{login}127.0.0.1:{server.port}/{database}", caplog)
    assert [word for word in words if word not in text] == []


async def test_redis_out_of_reach_is_told_with_what_to_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    nothing = await complaint(f"redis://:{SECRET}@127.0.0.1:{port}/0", caplog)
    assert f"nothing listens at 127.0.0.1:{port}: start Redis" in nothing
    unknown = await complaint(f"redis://:{SECRET}@no-such-host.invalid:6379/0", caplog)
    assert "the host of no-such-host.invalid:6379 is not known" in unknown


async def test_wrong_use_of_tls_is_told_with_what_to_do(
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A Redis without TLS answers nothing to what it takes for the beginning of a command."""
    with monkeypatch.context() as patch:
        patch.setattr(connections, "_ATTEMPT", 0.3)
        plain = await complaint(f"rediss://:{SECRET}@127.0.0.1:{redis_server.port}/0", caplog)
    assert "if it has no TLS, write redis:// instead of rediss://" in plain
    authority = Authority(tmp_path)
    (tmp_path / "redis").mkdir()
    async with running_redis(tmp_path / "redis", authority=authority) as server:
        address = f":{SECRET}@127.0.0.1:{server.port}/0"
        unencrypted = await complaint(f"redis://{address}", caplog)
        assert "if it takes TLS only, write rediss:// instead of redis://" in unencrypted
        unknown = await complaint(f"rediss://{address}", caplog)
        assert "does not trust" in unknown
        assert "ssl_ca_certs=" in unknown


@asynccontextmanager
async def disguised(server: RedisServer, true: bytes, told: bytes) -> AsyncIterator[int]:
    """Return the port of a proxy of a Redis that replaces bytes in what that says."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        writers.extend((writer, back))

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data.replace(true, told))
            target.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy:
        yield proxy.sockets[0].getsockname()[1]
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("redis_version", b"6.2.14", "Redis 7.0 or later, or Valkey, and this one is Redis 6.2.14"),
        ("run_id", b"", "hides its run_id"),
    ],
)
async def test_redis_that_is_not_suitable_is_refused(
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    field: str,
    value: bytes,
    words: str,
) -> None:
    async with redis_server.client() as client:
        true = str((await client.info("server"))[field]).encode()
    told = value.ljust(len(true)) if value else b"\r\n#" + b" " * (len(true) - 3)
    async with disguised(redis_server, true, told) as port:
        assert words in await complaint(f"redis://127.0.0.1:{port}/0", caplog)


async def test_what_answers_and_is_no_redis_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        text = await complaint(f"redis://:{SECRET}@127.0.0.1:{port}/0", caplog)
    assert "no Redis" in text
    assert "correct host and port in the URL" in text


async def test_hub_starts_once_redis_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transport.server.relay.relay.JOIN_INTERVAL", 0.02)
    async with running_redis(tmp_path) as server:
        await server.kill()
        hub = Hub(echo, store=RedisStore(server.url), name="chat")
        with caplog.at_level(logging.INFO, "transport"):
            async with asyncio.timeout(DEADLINE), hub.lifespan():
                while (await ask(hub, "/poll", lines(opening(1)))).status != 503:
                    pass
                await asyncio.sleep(0.1)  # it tries a few times more
                await server.restart(keep=False)
                while (await ask(hub, "/poll", lines(opening(2)))).status != 200:
                    pass
    events = [record.__dict__["event"] for record in caplog.records]
    assert [event for event in events if event in ("store_unusable", "joined")] == [
        "store_unusable",
        "joined",
    ]


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/more@127.0.0.1:6379/0",
        f"redis://ann:{SECRET}#more@127.0.0.1:6379/0",
        f"redis://ann:{SECRET}?more@127.0.0.1:6379/0",
        f"http://ann:{SECRET}@127.0.0.1:6379/0",
        f"redis://ann:{SECRET}@127.0.0.1:port/0",
        f"redis://127.0.0.1?socket_timeout={SECRET}",
        f"redis://127.0.0.1?unknown={SECRET}",
        SECRET,
    ],
)
def test_wrong_url_is_refused_without_a_secret(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refused:
        RedisStore(url)
    shown = [refused.value, refused.value.__cause__]
    assert SECRET not in "".join(map(repr, shown))
    assert refused.value.__suppress_context__
