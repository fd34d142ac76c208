"""Two processes of one hub: here two hubs in one loop, on a bus of real sockets."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.redis_buses import RedisWorkers
from transport import Channel, Hub
from transport.bus.interface import Bus
from transport.bus.redis import redis_bus, subscription
from transport.bus.shared import SharedStore
from transport.bus.workers import SharedWorkers
from transport.server.application import Handler

DEADLINE = 30.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="oc-"))
    yield path
    shutil.rmtree(path)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def poll(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.01)


def relay_of(hub: Hub) -> Any:
    """Return the relay of a hub that runs."""
    runtime = hub._lifecycle.current
    assert runtime is not None
    return runtime._relay


def bus_of(hub: Hub) -> Bus:
    """Return the bus of a hub that runs."""
    bus: Bus = relay_of(hub)._bus
    return bus


@dataclass
class Cluster:
    """Several hubs; itself an application that gives each request to the next one.

    Attributes:
        hubs: the processes.
    """

    hubs: list[Hub]

    def __post_init__(self) -> None:
        self._next = itertools.cycle(self.hubs)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await next(self._next)(scope, receive, send)

    def kill(self, hub: Hub) -> None:
        """Let a process vanish, with all that it has."""
        hub._lifecycle.stop()


on_both_buses = pytest.mark.parametrize("kind", ["unix", "redis"], indirect=True)
"""Runs a test on the bus over Redis, too."""


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """On which bus the hubs of `make_cluster` are."""
    return str(getattr(request, "param", "unix"))


@pytest.fixture
def make_cluster(
    folder: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Return what starts hubs of one handler: ``async with make_cluster(handler) as cluster``."""
    if kind == "redis":
        monkeypatch.setattr(redis_bus, "LOOK_INTERVAL", 0.05)
        monkeypatch.setattr(subscription, "SILENT_TICKS", 40)
        store: SharedStore = RedisWorkers(request.getfixturevalue("redis_server"))
    else:
        store = SharedWorkers(folder / "w")

    @asynccontextmanager
    async def make(
        handler: Handler = echo, count: int = 2, **options: Any
    ) -> AsyncIterator[Cluster]:
        async with AsyncExitStack() as stack:
            if isinstance(store, RedisWorkers):
                stack.push_async_callback(store.stop)
            hubs = [Hub(handler, store=store, **options) for _ in range(count)]
            for hub in hubs:
                await stack.enter_async_context(hub.lifespan())
            for hub in hubs:
                bus = bus_of(hub)
                await poll(lambda bus=bus: len(bus.peers) == count - 1)  # type: ignore[misc]
            yield Cluster(hubs)
        for _ in range(10):  # let the loop close what has ended
            await asyncio.sleep(0)

    return make
