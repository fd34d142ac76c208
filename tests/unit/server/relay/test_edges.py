"""Any process serves any connection and request of a session, over every transport."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clients.carriers import InProcess
from tests.support.clients.frame_client import (
    CLIENTS,
    TRANSPORTS,
    Ended,
    frame_client,
    try_open,
)
from tests.support.counted import counted
from tests.unit.server.relay.conftest import on_both_buses, poll
from transport import Channel, Hub, Identity, Limits
from transport.testing import ask, lines, opening

DEADLINE = 30.0
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
MakeCluster = Callable[..., Any]


async def never(*arguments: object) -> None:
    """Stand for a step that takes longer than its process lives."""
    await asyncio.Event().wait()


async def until_parked(home: Hub) -> None:
    """Wait until the client of the only session can be written to: over long poll, by a poll."""
    runtime = home._lifecycle.current
    assert runtime is not None
    [runner] = runtime.registry.runners
    await poll(lambda: any(one.writable for one in runner.session.attachments.live))


def resuming(client: Any, number: int, **fields: Any) -> dict[str, Any]:
    """Return an ``open`` that resumes the session of a client."""
    known = {"session": client.token, "epoch": client.opened["epoch"]}
    return opening(number, **known, **fields)


@each_transport
@pytest.mark.parametrize("then", TRANSPORTS)
async def test_session_resumes_at_another_process(
    make_cluster: MakeCluster, transport: str, then: str
) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, transport) as first:
            await first.confirm()
            await first.send([1, 0, "x"])
            assert await first.data() == ["x"]
        opened = resuming(first, 2, received=1, first_retained=2)
        async with frame_client(b, then, opened) as second:
            assert second.opened["verdict"] == "resumed"
            assert second.opened["id"] == first.opened["id"]
            assert "session" not in second.opened
            await second.confirm(1)
            for number in range(2, 30):
                await second.send([number, number - 1, number])
                assert await second.data() == [number]
        assert [len(list(hub.channels)) for hub in cluster.hubs] == [1, 0]


@on_both_buses
@each_transport
async def test_each_request_reaches_its_session(make_cluster: MakeCluster, transport: str) -> None:
    """Polls and POSTs alternate between three processes."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(count=3) as cluster,
        frame_client(cluster, transport) as client,
    ):
        await client.confirm()
        for number in range(1, 20):
            await client.send([number, number - 1, "x" * 30_000])
            assert await client.data() == ["x" * 30_000]


@on_both_buses
async def test_message_above_an_item_arrives_whole(make_cluster: MakeCluster) -> None:
    limits = Limits(message=1_000_000)
    async with asyncio.timeout(DEADLINE), make_cluster(limits=limits) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            for number, message in enumerate(["x" * 900_000, "y", "z" * 70_000], 1):
                await second.send([number, number - 1, message])
                assert await second.data() == [message]


@each_transport
async def test_opening_that_is_repeated_elsewhere_begins_one_session(
    make_cluster: MakeCluster, transport: str
) -> None:
    """OPN-4: the answer was lost, and the client asks another process."""
    async with asyncio.timeout(DEADLINE), make_cluster(count=3) as cluster:
        opened = []
        for number, hub in enumerate(cluster.hubs, 1):
            async with frame_client(hub, transport, opening(number)) as client:
                opened.append(client.opened)
                await client.confirm()
        assert len({each["id"] for each in opened}) == 1
        assert len({each["session"] for each in opened}) == 1
        assert {each["verdict"] for each in opened} == {"new"}
        assert sum(len(list(hub.channels)) for hub in cluster.hubs) == 1


@on_both_buses
async def test_openings_that_race_begin_one_session(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(count=4) as cluster:
        for nonce in range(10):
            frames = [
                opening(number, nonce=f"nonce-{nonce}-0123456789abcdef") for number in range(1, 5)
            ]
            answers = await asyncio.gather(
                *(
                    ask(hub, "/poll", lines(frame))
                    for hub, frame in zip(cluster.hubs, frames, strict=True)
                )
            )
            tokens = {answer.frames[0]["session"] for answer in answers}
            assert len(tokens) == 1, tokens
        assert sum(len(list(hub.channels)) for hub in cluster.hubs) == 10


@on_both_buses
@each_transport
async def test_end_of_session_is_told_at_another_process(
    make_cluster: MakeCluster, transport: str
) -> None:
    async def bye(channel: Channel) -> None:
        await channel.receive()
        await channel.close(4000, "bye")

    async with asyncio.timeout(DEADLINE), make_cluster(bye) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            await first.confirm()
            await first.send([1, 0, "x"])
            assert (await first.control("close"))["code"] == 4000
        opened = resuming(first, 2, first_retained=2)
        client = CLIENTS[transport](InProcess(b))
        with pytest.raises(Ended) as ended:
            await client.open(opened)
        [close] = ended.value.frames
        assert (close["type"], close["code"], close["reason"]) == ("close", 4000, "bye")
        await client.carrier.close()


@each_transport
async def test_close_passes_an_edge(make_cluster: MakeCluster, transport: str) -> None:
    async def bye(channel: Channel) -> None:
        await channel.receive()
        await channel.close(4000, "bye")

    async with asyncio.timeout(DEADLINE), make_cluster(bye) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, transport, resuming(first, 2)) as second:
            await second.confirm()
            reading = asyncio.create_task(second.control("close"))
            await until_parked(a)
            await second.send([1, 0, "x"])
            close = await reading
            assert (close["code"], close["reason"]) == (4000, "bye")
            if transport == "websocket":
                assert (await second.ended()).code == 4000


async def test_fault_of_client_is_told_through_an_edge(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            await second.send([5, 0, "x"])
            ended = await second.ended()
            assert (ended.code, ended.error["code"], ended.error["expected"]) == (4410, "gap", 1)
        answer = await ask(b, "/send", lines({**second.head(), "attach": 9}))
        assert (answer.status, answer.frames[0]["code"]) == (409, "not_attached")
        wrong = {**second.head(), "session": first.token[:-1] + "?"}
        answer = await ask(b, "/send", lines(wrong))
        assert (answer.status, answer.frames[0]["code"]) == (404, "unknown_session")


@on_both_buses
@each_transport
async def test_session_of_process_that_is_gone_has_restarted(
    make_cluster: MakeCluster, transport: str
) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, transport) as first:
            await first.confirm()
        cluster.kill(a)
        bus = b._lifecycle.current._relay._bus
        await poll(lambda: not bus.peers)
        answer = await ask(b, "/send", lines(first.head(epoch=first.opened["epoch"])))
        assert (answer.status, answer.frames[0]["code"]) == (421, "wrong_process")
        opened = resuming(first, 2, nonce="nonce-2-0123456789abcdef")
        async with frame_client(b, transport, opened) as second:
            assert second.opened["verdict"] == "reset"
            assert second.opened["reset"]["reason"] == "restarted"
            assert second.opened["reset"]["handled"] is None
            assert second.opened["id"] != first.opened["id"]


@on_both_buses
@each_transport
async def test_connection_ends_with_its_home(make_cluster: MakeCluster, transport: str) -> None:
    """A parked poll, too."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, transport, resuming(first, 2)) as second:
            await second.confirm()
            reading = asyncio.create_task(second.ended())
            await until_parked(a)
            assert not reading.done()
            cluster.kill(a)
            ended = await reading
            # A stream is cut. A poll is told at once that there is no such session.
            assert ended.code in ((404,) if transport == "longpoll" else (1012, None))


@on_both_buses
async def test_post_under_way_is_told_that_its_home_is_gone(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "longpoll", resuming(first, 2)) as second:
            head = second.head(epoch=first.opened["epoch"])
            runtime = a._lifecycle.current
            assert runtime is not None
            runtime.registry.find_record = never
            posting = asyncio.create_task(ask(b, "/send", lines(head, [1, 0, "x"])))
            calls = b._lifecycle.current._relay._calls
            await poll(lambda: calls._waiting)
            cluster.kill(a)
            answer = await posting
            assert (answer.status, answer.frames[0]["code"]) == (421, "wrong_process")


@on_both_buses
async def test_open_under_way_is_told_that_its_home_is_gone(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        runtime = a._lifecycle.current
        assert runtime is not None
        runtime.registry.find_record = never

        async def kill() -> None:
            calls = b._lifecycle.current._relay._calls
            await poll(lambda: calls._waiting)
            cluster.kill(a)

        killing = asyncio.create_task(kill())
        opened = resuming(first, 2, nonce="nonce-2-0123456789abcdef")
        async with frame_client(b, "websocket", opened) as second:
            assert second.opened["reset"]["reason"] == "restarted"
        await killing


async def test_home_that_has_just_come_is_found(make_cluster: MakeCluster) -> None:
    """This process has not looked since, for example because it was stopped."""
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        bus = b._lifecycle.current._relay._bus
        [(_, pipe)] = bus._pipes.items()
        bus._pipes.clear()
        pipe.end()
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            assert second.opened["verdict"] == "resumed"


async def test_connection_that_edge_loses_is_detached(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        for transport in ("websocket", "sse"):
            async with frame_client(b, transport, resuming(first, 2 + (transport == "sse"))) as one:
                await one.confirm()
                assert counted(a).connections[transport] == 1
            await poll(lambda name=transport: not counted(a).connections[name])  # type: ignore[misc]
        async with frame_client(b, "websocket", resuming(first, 4)) as one:
            cluster.kill(b)
            await poll(lambda: not counted(a).connections["websocket"])


async def test_session_of_another_user_is_not_given(make_cluster: MakeCluster) -> None:
    async def authenticate(connection: Any, credentials: Any) -> Identity | None:
        return Identity(str(credentials), user={"name": credentials}) if credentials else None

    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials="ada")) as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2, credentials="ada")) as second:
            assert second.opened["verdict"] == "resumed"
        frame = resuming(first, 3, credentials="bob", nonce="nonce-3-0123456789abcdef")
        async with frame_client(b, "websocket", frame) as third:
            assert third.opened["verdict"] == "reset"
            assert third.opened["reset"]["reason"] == "unknown"
        refused = await try_open(b, "websocket", resuming(first, 4))
        assert refused is not None
        assert refused.code == 4401
        [channel] = a.channels
        assert channel.user == {"name": "ada"}


async def test_home_that_does_not_answer_is_unavailable(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transport.server.relay.edge_requests.ANSWER_WITHIN", 0.1)
    limits = Limits(poll_hold=1.0)
    async with asyncio.timeout(DEADLINE), make_cluster(limits=limits) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "longpoll") as first:
            await first.confirm()
        never = asyncio.get_running_loop().create_future()

        async def hang(pipe: Any, body: Any) -> None:
            await asyncio.shield(never)

        for kind in ("open", "send", "poll"):
            a._lifecycle.current._relay._calls.respond(kind, hang)
        refused = await try_open(b, "websocket", resuming(first, 2))
        assert refused is not None
        assert (refused.code, refused.error["code"]) == (1013, "unavailable")
        assert refused.error["retry_in"] > 0
        answer = await ask(b, "/send", lines(first.head()))
        assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
        answer = await ask(b, "/poll", lines(first.head("poll", poll=9, ack=0)))
        assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
        never.cancel()


@on_both_buses
@each_transport
async def test_process_that_stops_drains_foreign_connections(
    make_cluster: MakeCluster, transport: str
) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, transport, resuming(first, 2)) as second:
            await second.confirm()
            reading = asyncio.create_task(second.control("drain"))
            await asyncio.sleep(0.05)
            await b.drain()
            assert (await reading)["retry_in"] >= 0
        async with frame_client(a, transport, resuming(first, 3)) as third:
            assert third.opened["verdict"] == "resumed"


@each_transport
@pytest.mark.parametrize("is_foreign", [True, False])
async def test_process_that_stops_tells_true_fates(
    make_cluster: MakeCluster, transport: str, is_foreign: bool
) -> None:
    """RES-7: message 1 was handled, 2 was in work when the handler was cancelled, 3 waited."""
    working = asyncio.Event()

    async def work(channel: Channel) -> None:
        await channel.receive()
        await channel.receive()
        working.set()
        await asyncio.sleep(3600)

    limits = Limits(drain_grace=0.2)
    async with asyncio.timeout(DEADLINE), make_cluster(work, limits=limits) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b if is_foreign else a, transport, resuming(first, 2)) as second:
            await second.confirm()
            reading = asyncio.create_task(second.control("reset"))
            sending = asyncio.create_task(second.send([1, 0, "x"], [2, 0, "y"], [3, 0, "z"]))
            await working.wait()
            await a.drain()
            reset = await reading
            assert reset["reason"] == "shutdown"
            assert (reset["handled"], reset["in_hand"]) == (1, 2)
            with contextlib.suppress(Ended):
                await sending


async def test_handler_that_asks_for_more_has_handled_its_message(
    make_cluster: MakeCluster,
) -> None:
    working, go_on = asyncio.Event(), asyncio.Event()

    async def work(channel: Channel) -> None:
        async for _ in channel:
            working.set()
            await go_on.wait()

    async with asyncio.timeout(DEADLINE), make_cluster(work) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            await second.send([1, 0, "x"], [2, 0, "y"])
            await working.wait()
            stopping = asyncio.create_task(a.drain())
            await asyncio.sleep(0.05)
            go_on.set()
            reset = await second.control("reset")
            assert (reset["reason"], reset["handled"], reset["in_hand"]) == ("shutdown", 1, 1)
            await stopping
