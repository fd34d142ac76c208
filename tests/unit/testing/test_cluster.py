"""`cluster`: what works in one process and fails in two fails in a unit test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, SessionReset
from transport.bus.workers import Workers
from transport.testing import Cluster, JumpingEventLoop, Page, cluster, drive

TRANSPORTS = ("websocket", "sse", "longpoll")
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}


async def shout(channel: Channel) -> None:
    async for message in channel:
        await channel.send(str(message).upper())


def make_hub(store: Workers) -> Hub:
    return Hub(shout, store=store)


async def tell(page: Page, message: str, within: float = 5.0) -> None:
    await page.send(message)
    assert await page.receive(within=within) == message.upper()


def home_of(processes: Cluster) -> int:
    """Return the process that has the only session."""
    [home] = [
        index
        for index in range(len(processes))
        if processes[index].is_alive and list(processes[index].app.channels)  # type: ignore[attr-defined]
    ]
    return home


@each_transport
async def test_page_is_served_by_all_processes(transport: str) -> None:
    async with cluster(make_hub, 3) as processes, drive(processes, transport=transport) as page:
        for number in range(10):
            await tell(page, f"message {number}")
            page.cut()
            assert await page.resume()


async def test_hub_without_workers_fails_in_two_processes() -> None:
    """That is what a cluster is for."""
    async with (
        cluster(lambda store: Hub(shout)) as processes,
        drive(processes) as page,
    ):
        page.cut()
        assert not await page.resume()


async def test_state_in_make_hub_is_not_shared() -> None:
    def make(store: Workers) -> Hub:
        seen: list[str] = []

        async def remember(channel: Channel) -> None:
            async for message in channel:
                seen.append(str(message))
                await channel.send(len(seen))

        return Hub(remember, store=store, name="remember")

    async with cluster(make) as processes:
        for process in (processes[0], processes[1]):
            async with drive(process) as page:
                await page.send("x")
                assert await page.receive() == 1


@each_transport
async def test_killed_process_resets_its_sessions(transport: str) -> None:
    async with cluster(make_hub) as processes, drive(processes, transport=transport) as page:
        await tell(page, "a")
        processes.kill(home_of(processes))
        with pytest.raises(SessionReset) as reset:
            await page.receive(within=30)
        assert reset.value.reason == "restarted"
        await tell(page, "b")


@each_transport
async def test_killed_process_leaves_other_sessions(transport: str) -> None:
    async with cluster(make_hub) as processes, drive(processes, transport=transport) as page:
        await tell(page, "a")
        processes.kill(1 - home_of(processes))
        await tell(page, "b", within=30)
        assert len(processes) == 2
        assert await processes.start() == 2
        page.cut()
        assert await page.resume()
        await tell(page, "c")


async def test_killed_process_runs_nothing_more() -> None:
    ticks: list[float] = []

    async def tick(channel: Channel) -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):  # as a careless handler does
                while True:
                    await asyncio.sleep(1)
                    ticks.append(asyncio.get_running_loop().time())

    async with cluster(lambda store: Hub(tick, store=store)) as processes, drive(processes[0]):
        await asyncio.sleep(5.5)
        processes.kill(0)
        await asyncio.sleep(60)
        assert len(ticks) == 5


async def test_stopped_process_takes_nothing_until_it_goes_on() -> None:
    async with cluster(make_hub) as processes, drive(processes[0]) as page:
        await tell(page, "a")
        processes.stop(0)
        await page.send("b")
        with pytest.raises(TimeoutError):
            await page.receive(within=20)
        processes.go_on(0)
        assert await page.receive(within=0.1) == "B"


async def test_timers_of_stopped_process_do_not_fire() -> None:
    ticks: list[float] = []

    async def tick(channel: Channel) -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(asyncio.get_running_loop().time())

    async with cluster(lambda store: Hub(tick, store=store)) as processes, drive(processes[0]):
        await asyncio.sleep(5.5)
        processes.stop(0)
        await asyncio.sleep(60)
        assert len(ticks) == 5
        processes.go_on(0)
        await asyncio.sleep(1.5)
        assert ticks[5:] == [65.5, 66.5]


async def test_session_of_stopped_process_is_unavailable_elsewhere() -> None:
    async with cluster(make_hub) as processes, drive(processes) as page:
        await tell(page, "a")
        home = home_of(processes)
        page.cut()
        processes.stop(home)
        with pytest.raises(TimeoutError, match="unavailable"):
            await page.resume(within=30)
        processes.go_on(home)
        assert await page.resume(within=30)
        await tell(page, "b")


@each_transport
async def test_process_that_shuts_down_says_so(transport: str) -> None:
    async with cluster(make_hub) as processes, drive(processes, transport=transport) as page:
        await tell(page, "a")
        await processes.shut_down(home_of(processes))
        with pytest.raises(SessionReset) as reset:
            await page.receive(within=30)
        assert reset.value.reason == "shutdown"
        await tell(page, "b")


@each_transport
async def test_cut_between_processes_loses_nothing(transport: str) -> None:
    async with (
        cluster(make_hub, delay=0.01) as processes,
        drive(processes, transport=transport) as page,
    ):
        for number in range(20):
            await page.send(f"m{number}")
            await asyncio.sleep(0.015)
            processes.cut(0, 1)
        received = [await page.receive(within=60) for _ in range(20)]
        assert received == [f"M{number}" for number in range(20)]


async def test_delay_is_that_of_each_item() -> None:
    loop = asyncio.get_running_loop()
    async with (
        cluster(make_hub, choose=lambda processes: processes[0]) as processes,
        drive(processes) as page,
    ):
        processes.choose = lambda processes: processes[1]
        page.cut()
        processes.delay = lambda: 0.2
        began = loop.time()
        assert await page.resume()
        assert loop.time() - began == pytest.approx(0.8), "two questions, there and back"


async def test_requests_go_where_they_are_sent() -> None:
    async with (
        cluster(make_hub, choose=lambda processes: processes[-1]) as processes,
        drive(processes) as page,
    ):
        await tell(page, "a")
        assert home_of(processes) == 1
        processes.choose = lambda processes: processes[0]
        async with drive(processes):
            assert [len(list(processes[index].app.channels)) for index in (0, 1)] == [1, 1]  # type: ignore[attr-defined]


async def test_lifespan_of_application_runs_in_each_process() -> None:
    events: list[str] = []

    def make_app(store: Workers) -> Starlette:
        hub = Hub(shout, store=store)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[dict[str, int]]:
            events.append("start")
            async with hub.lifespan():
                yield {"number": events.count("start")}
            events.append("end")

        return Starlette(routes=[Mount("/chat", app=hub)], lifespan=lifespan)

    async with cluster(make_app) as processes, drive(processes, "/chat") as page:
        await tell(page, "a")
        assert events == ["start", "start"]
        await processes.shut_down(0)
        assert events == ["start", "start", "end"]


async def test_application_that_does_not_start_is_told() -> None:
    events: list[str] = []

    def make_app(store: Workers) -> Starlette:
        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            if not events:
                raise LookupError("no database")
            yield

        return Starlette(lifespan=lifespan)

    with pytest.raises(RuntimeError, match="no database"):
        async with cluster(make_app):
            pass


async def test_application_without_lifespan_is_served() -> None:
    def make_app(store: Workers) -> Any:
        hub = Hub(shout, store=store)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "lifespan":
                raise NotImplementedError
            await hub(scope, receive, send)

        return app

    async with cluster(make_app) as processes, drive(processes, transport="longpoll") as page:
        for number in range(5):
            await tell(page, f"m{number}", within=30)


async def test_request_without_process_is_refused() -> None:
    async with cluster(make_hub) as processes, drive(processes) as page:
        await tell(page, "a")
        for index in range(2):
            processes.kill(index)
        page.cut()
        for where in (processes, processes[0]):
            with pytest.raises(TimeoutError):
                async with drive(where):
                    pass
        assert "gone" in repr(processes[0])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cluster_on_another_event_loop_is_refused(anyio_backend: str) -> None:
    with pytest.raises(RuntimeError, match="JumpingEventLoop"):
        async with cluster(make_hub):
            pass


async def test_process_that_was_stopped_acknowledges() -> None:
    """Its clock is behind the event loop's, and rounded otherwise."""

    async def take(channel: Channel) -> None:
        async for _ in channel:
            await asyncio.sleep(0.03)  # too long for the answer to the POST

    async with (
        cluster(lambda store: Hub(take, store=store)) as processes,
        drive(processes[0], transport="sse") as page,
    ):
        for number in range(1, 40):
            await asyncio.sleep(0.0137 * number)
            processes.stop(0)
            await asyncio.sleep(1.7 + 0.0119 * number)
            processes.go_on(0)
            await page.acknowledged(await page.send("x"))
