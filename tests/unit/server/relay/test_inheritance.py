"""What a worker that stops leaves to the others, for clients that come back later (RES-7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from tests.unit.server.relay.conftest import DEADLINE, bus_of, echo, poll
from tests.unit.server.relay.test_edges import resuming
from transport import Hub, Identity, Limits
from transport.bus.directory import Directory
from transport.bus.workers import SharedWorkers
from transport.server.relay import inheritance
from transport.server.relay.messages import EndedSession, encode_ended
from transport.testing import opening

MakeCluster = Callable[..., Any]


async def stop(hub: Hub, *others: Hub) -> None:
    """End a hub cleanly, and wait until the others know that it is gone."""
    name = bus_of(hub).name
    await hub.lifespan().__aexit__(None, None, None)
    await poll(lambda: all(name not in bus_of(other).peers for other in others))


def left_in(folder: Path) -> list[Path]:
    """Return the files that workers have left."""
    return list(folder.rglob("*.ended"))


async def reset_at(hub: Hub, client: Any, transport: str = "websocket", **more: Any) -> Any:
    """Resume at another worker, and return the reset that the ``opened`` reports."""
    frame = resuming(client, 2, received=1, first_retained=2, **more)
    async with frame_client(hub, transport, frame) as second:
        assert second.opened["verdict"] == "reset"
        return second.opened["reset"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_client_that_returns_after_a_stop_reads_its_fate(
    make_cluster: MakeCluster, transport: str
) -> None:
    """The worker has ended cleanly before its client came back."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, transport) as first:
            await first.confirm()
            await first.send([1, 0, "x"])
            assert await first.data() == ["x"]
        await stop(a, b)
        reset = await reset_at(b, first, transport)
        assert (reset["reason"], reset["handled"], reset["in_hand"]) == ("shutdown", 1, 1)


async def test_fate_of_another_user_is_not_told(make_cluster: MakeCluster) -> None:
    """IDN-2."""

    async def authenticate(connection: Any, credentials: Any) -> Identity:
        return Identity(str(credentials))

    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials="ada")) as first:
            pass
        await stop(a, b)
        assert (await reset_at(b, first, credentials="bob"))["reason"] == "restarted"
        assert (await reset_at(b, first, credentials="ada"))["reason"] == "shutdown"


@pytest.mark.parametrize("is_alone", [True, False])
async def test_worker_that_comes_later_knows_the_fates(
    make_cluster: MakeCluster, folder: Path, is_alone: bool
) -> None:
    """As when all workers are replaced, one by one or at once."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            await first.confirm()
            await first.send([1, 0, "x"])
            assert await first.data() == ["x"]
        await stop(a, b)
        if is_alone:
            await stop(b)
        c = Hub(echo, store=SharedWorkers(folder / "w"))
        async with c.lifespan():
            reset = await reset_at(c, first)
            assert (reset["reason"], reset["handled"]) == ("shutdown", 1)


async def test_worker_leaves_only_the_newest_fates(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inheritance, "MAX_SESSIONS", 2)
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        ended = []
        for number in range(3):
            frame = opening(1, nonce=f"nonce-{number}-0123456789abcdef")
            async with frame_client(a, "websocket", frame) as each:
                ended.append(each)
                close = {"type": "close", "code": 4000, "reason": "", "by": "app", "last": 0}
                await each.confirm()
                await each.send({**close, "ack": 0})
                await each.control("close")
        await stop(a, b)
        assert (await reset_at(b, ended[0]))["reason"] == "restarted"
        for each in ended[1:]:
            answer = await try_open(b, "websocket", resuming(each, 2))
            assert answer is not None
            assert answer.frames[-1]["type"] == "close"


async def test_fate_that_only_a_later_release_knows_is_skipped(
    make_cluster: MakeCluster,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are kept, and a worker that starts serves in any case."""
    caplog.set_level("INFO")
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        sessions = []
        for number in range(2):
            frame = opening(1, nonce=f"nonce-{number}-0123456789abcdef")
            async with frame_client(a, "websocket", frame) as each:
                sessions.append(each)
        later, earlier = sessions

        def encode_later(each: EndedSession) -> bytes:
            fields = msgpack.decode(encode_ended(each))
            if each.id == later.opened["id"]:
                del fields["tombstone"]["last"]
            return msgpack.encode(fields)

        with monkeypatch.context() as patched:
            patched.setattr(inheritance, "encode_ended", encode_later)
            await stop(a, b)
        assert (await reset_at(b, later))["reason"] == "restarted"
        assert (await reset_at(b, earlier))["reason"] == "shutdown"
        assert caplog.text.count("unknown_item") == 1


async def test_workers_that_start_together_all_learn_fates(
    make_cluster: MakeCluster, folder: Path
) -> None:
    """None of them is content with what another newcomer knows."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        await stop(a, b)
        new = [Hub(echo, store=SharedWorkers(folder / "w")) for _ in range(6)]
        async with AsyncExitStack() as stack:
            for hub in new:
                await stack.enter_async_context(hub.lifespan())
            for hub in new:
                assert (await reset_at(hub, first))["reason"] == "shutdown"


async def test_fates_are_kept_no_longer_than_a_tombstone(
    make_cluster: MakeCluster, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RES-8. Then their file goes, too."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        await stop(a, b)
        assert len(left_in(folder)) == 1
        now = time.time()
        monkeypatch.setattr("time.time", lambda: now + Limits().tombstone + 1)
        assert (await reset_at(b, first))["reason"] == "restarted"
        assert len(left_in(folder)) == 1
        c = Hub(echo, store=SharedWorkers(folder / "w"))
        async with c.lifespan():
            assert (await reset_at(c, first))["reason"] == "restarted"
            assert left_in(folder) == []


async def test_fates_that_cannot_be_written_are_logged(
    make_cluster: MakeCluster,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError("the disk is full")

    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        monkeypatch.setattr(Directory, "leave", fail)
        await stop(a, b)
        assert (await reset_at(b, first))["reason"] == "restarted"
    assert "fates_lost" in caplog.text
    assert "the disk is full" in caplog.text
