"""Groups, broadcasts and the other calls of a hub reach the channels of all its processes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.frame_client import FrameClient, frame_client, open_frame
from tests.support.counted import counted
from tests.unit.server.relay.conftest import bus_of, on_both_buses, poll
from transport import Channel, Hub, Identity, Limits, Workers
from transport.bus.workers import SharedWorkers

DEADLINE = 30.0
MakeCluster = Callable[..., Any]


async def silent(channel: Channel) -> None:
    await channel.wait_closed()


async def by_name(connection: Any, credentials: Any) -> Identity | None:
    return Identity(str(credentials))


class Crowd:
    """One client at each of several hubs.

    Attributes:
        clients: by the index of their hub.
    """

    def __init__(self, hubs: list[Hub]) -> None:
        self.hubs = hubs
        self.clients: list[FrameClient] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Crowd:
        for index, hub in enumerate(self.hubs):
            frame = open_frame(credentials=f"user-{index}")
            client = await self._stack.enter_async_context(frame_client(hub, "websocket", frame))
            await client.confirm()
            self.clients.append(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def channel(self, index: int) -> Channel:
        [channel] = self.hubs[index].channels
        return channel

    async def add_all(self, name: str = "lobby") -> None:
        """Add every channel to a group, each in its own process."""
        for index, hub in enumerate(self.hubs):
            await hub.group(name).add(self.channel(index))

    async def received(self, count: int) -> list[list[Any]]:
        """Return the next messages of each client."""
        return [await received(client, count) for client in self.clients]


async def received(client: FrameClient, count: int) -> list[Any]:
    messages: list[Any] = []
    while len(messages) < count:
        messages += await client.data()
    return messages


@on_both_buses
async def test_group_and_broadcast_reach_all_processes_once(make_cluster: MakeCluster) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 3) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        await crowd.add_all()
        for index, hub in enumerate(cluster.hubs):
            await hub.group("lobby").send({"group": index})
            await hub.broadcast([index])
            await hub.group("nobody").send("x")
        sent = [each for i in range(3) for each in ({"group": i}, [i])]
        assert await crowd.received(len(sent)) == [sent] * 3


async def test_send_returns_when_other_process_has_the_message(make_cluster: MakeCluster) -> None:
    """Also in the publisher's own: what its channel is sent after that comes after it."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 2) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        await crowd.add_all()
        for number in range(20):
            await cluster.hubs[0].group(f"lobby-{number}").add(crowd.channel(0))
            await cluster.hubs[1].group(f"lobby-{number}").add(crowd.channel(1))
            await cluster.hubs[0].group(f"lobby-{number}").send(number)
            for index in range(2):
                assert crowd.channel(index).statistics().sent == 2 * number + 1
                await crowd.channel(index).send("own")
        sent = [each for number in range(20) for each in (number, "own")]
        assert await crowd.received(len(sent)) == [sent] * 2


@on_both_buses
async def test_group_loses_nothing_when_a_process_dies(make_cluster: MakeCluster) -> None:
    """Whether or not it owns the topic. Each channel of the others gets all messages once."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 4) as cluster,
        Crowd(cluster.hubs[:3]) as crowd,
    ):
        for index in range(3):
            for name in range(8):
                await cluster.hubs[index].group(str(name)).add(crowd.channel(index))

        async def publish(writer: int) -> None:
            for number in range(50):
                await cluster.hubs[writer].group(str(number % 8)).send([writer, number])
                if writer == number == 1:
                    cluster.kill(cluster.hubs[3])

        await asyncio.gather(*(publish(writer) for writer in range(3)))
        for messages in await crowd.received(150):
            for writer in range(3):
                assert [n for one, n in messages if one == writer] == list(range(50))


async def test_full_channel_of_other_process_is_reset(make_cluster: MakeCluster) -> None:
    """DAT-6: nobody waits for a page that does not keep up."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 2, limits=Limits(window_messages=4)) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        await crowd.add_all()
        for number in range(5):
            await cluster.hubs[0].group("lobby").send(number)
        for client in crowd.clients:
            assert (await client.ended()).frames[-1]["reason"] == "overflow"


async def test_send_to_reaches_channel_of_other_process(make_cluster: MakeCluster) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 2) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        a, b = cluster.hubs
        for hub in cluster.hubs:
            for index in range(2):
                assert await hub.send_to(crowd.channel(index).id, {"to": index})
        assert await crowd.received(2) == [[{"to": 0}] * 2, [{"to": 1}] * 2]
        gone = crowd.channel(1).id
        assert not await a.send_to("nobody", "x")
        assert not await a.send_to(gone[:-1] + "?", "x")
        assert not await b.send_to("a" * 30, "x")
        cluster.kill(b)
        assert not await a.send_to(gone, "x")


@on_both_buses
async def test_close_user_ends_sessions_in_all_processes(make_cluster: MakeCluster) -> None:
    """IDN-2."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 3, authenticate=by_name) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        for index in range(3):
            await cluster.hubs[0].close_user(f"user-{index}")
            end = await crowd.clients[index].ended()
            assert (end.code, end.frames[-1]["reason"]) == (4401, "the user was dismissed")


@on_both_buses
async def test_statistics_count_all_processes(make_cluster: MakeCluster) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 3) as cluster,
        Crowd(cluster.hubs[:2]) as crowd,
    ):
        await cluster.hubs[2].broadcast("x")
        await crowd.received(1)
        parts = [counted(hub) for hub in cluster.hubs]
        assert [part.sessions for part in parts] == [1, 1, 0]
        for hub in cluster.hubs:
            statistics = await hub.statistics()
            assert statistics.processes == 3
            assert (statistics.sessions, statistics.opened, statistics.sent) == (2, 2, 2)
            assert statistics.connections == {"websocket": 2, "sse": 0, "longpoll": 0}
            assert statistics.memory == sum(part.memory for part in parts) > 0
        cluster.kill(cluster.hubs[1])
        assert (await cluster.hubs[0].statistics()).processes == 2


async def test_resets_are_counted_over_all_processes(make_cluster: MakeCluster) -> None:
    limits = Limits(window_messages=1)
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 2, limits=limits) as cluster,
        Crowd(cluster.hubs),
    ):
        for _ in range(2):
            await cluster.hubs[0].broadcast("x")
        statistics = await cluster.hubs[0].statistics()
        assert statistics.resets == {"overflow": 2}
        assert statistics.resets["unknown"] == 0


async def test_publisher_that_serves_nobody_reaches_the_others(
    make_cluster: MakeCluster, folder: Path
) -> None:
    """A task of the application may send before its process has its first request."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 2) as cluster,
        Crowd(cluster.hubs) as crowd,
    ):
        late = Hub(silent, store=SharedWorkers(folder / "w"))
        await late.broadcast("from a process without a request")
        assert await crowd.received(1) == [["from a process without a request"]] * 2
        late._lifecycle.stop()


async def test_call_after_the_hub_has_stopped_raises(folder: Path) -> None:
    """Other workers may go on, and none of them is asked."""
    hub = Hub(silent, store=Workers(folder / "w"))
    async with asyncio.timeout(DEADLINE):
        async with hub.lifespan():
            await hub.broadcast("x")
        calls = hub.broadcast("x"), hub.send_to("x", "x"), hub.close_user("x"), hub.statistics()
        for call in calls:
            with pytest.raises(RuntimeError, match="after the hub has stopped in this process"):
                await call


def test_call_in_a_second_loop_starts_the_hub_there(folder: Path) -> None:
    hub = Hub(silent, store=Workers(folder / "w"))

    async def processes() -> int:
        return (await hub.statistics()).processes

    for _ in range(2):
        assert asyncio.run(processes()) == 1
    hub._lifecycle.stop()


class Stopped:
    """A process that stops to run, with SIGSTOP, and goes on.

    Args:
        folder: of the workers.
    """

    PROGRAM = """
import asyncio, sys
from transport import Hub, Workers

async def silent(channel):
    await channel.wait_closed()

async def main():
    hub = Hub(silent, store=Workers(sys.argv[1]), name="silent")
    async with hub.lifespan():
        hub._lifecycle.enter()
        await hub.group("nobody").send("ready")
        print(hub._lifecycle.current._relay._bus.name, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(folder / "w")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def __aenter__(self) -> str:
        assert self._process.stdout is not None
        name = await asyncio.to_thread(self._process.stdout.readline)
        self._process.send_signal(signal.SIGSTOP)
        return name.strip()

    async def __aexit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.to_thread(self._process.wait, DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()


async def test_calls_say_that_a_stopped_process_does_not_answer(
    make_cluster: MakeCluster, folder: Path
) -> None:
    """They raise, where the others have done what was asked."""
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(silent, 1, name="silent", authenticate=by_name) as cluster,
        Crowd(cluster.hubs) as crowd,
        Stopped(folder) as name,
    ):
        [hub] = cluster.hubs
        await poll(lambda: name in bus_of(hub).peers)
        results = await asyncio.gather(
            hub.send_to(name + "x" * 12, "x"),
            hub.close_user("user-0"),
            hub.statistics(),
            hub.broadcast("to those that take it"),
            return_exceptions=True,
        )
        assert isinstance(results[0], TimeoutError)
        assert f"channel {name}xxxxxxxxxxxx has not answered in 3 s" in str(results[0])
        assert isinstance(results[1], TimeoutError)
        assert "1 of the other workers have not answered in 3 s" in str(results[1])
        assert not isinstance(results[2], BaseException)
        assert results[2].processes == 1
        assert results[3] is None
        assert (await crowd.clients[0].ended()).code == 4401


async def test_call_in_process_that_cannot_join_raises(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not seem to have reached the others."""
    hub = Hub(silent, store=Workers(folder / "w"))
    async with asyncio.timeout(DEADLINE), hub.lifespan():
        (folder / "w").chmod(0o755)  # before the loop runs the bus
        calls = hub.broadcast("x"), hub.send_to("x", "x"), hub.close_user("x"), hub.statistics()
        for call in calls:
            with pytest.raises(RuntimeError, match="cannot find the others"):
                await call
        assert "workers_failed" in caplog.text
        (folder / "w").chmod(0o700)
