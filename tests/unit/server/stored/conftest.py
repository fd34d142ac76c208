"""Two processes of one hub that share a store: in one loop, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from transport import Channel, Hub
from transport.bus.shared import SharedStore
from transport.server.application import Handler
from transport.server.runner import Runner
from transport.testing import Cluster, JumpingEventLoop, cluster
from transport.testing.store_model import StoreModel

TRANSPORTS = ("websocket", "sse", "longpoll")
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
DEADLINE = 60.0


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}


async def shout(channel: Channel) -> None:
    async for message in channel:
        await channel.send(str(message).upper())


@dataclass
class Processes:
    """Processes of a hub, and the store that they share.

    Attributes:
        cluster: the processes.
        store: the store.
        resumed: for each call of the handler, whether another process had the session before.
    """

    cluster: Cluster
    store: StoreModel
    resumed: list[bool] = field(default_factory=list)

    def hub(self, index: int) -> Hub:
        hub = self.cluster[index].app
        assert isinstance(hub, Hub)
        return hub

    def runners(self, index: int) -> list[Runner]:
        """Return the sessions of a process."""
        runtime = self.hub(index)._lifecycle.current
        return [] if runtime is None else list(runtime.registry.runners)

    @property
    def home(self) -> int:
        """The living process that has the only session."""
        [home] = self._homes
        return home

    @property
    def has_home(self) -> bool:
        """Whether a living process has the only session."""
        return len(self._homes) == 1

    @property
    def _homes(self) -> list[int]:
        return [
            index
            for index in range(len(self.cluster))
            if self.cluster[index].is_alive and self.runners(index)
        ]

    def go_to(self, index: int) -> None:
        """Send all requests to one process."""
        self.cluster.choose = lambda processes: self.cluster[index]

    def go_anywhere(self) -> None:
        """Send requests to each process in turn."""
        self.cluster.choose = self.cluster._next


@asynccontextmanager
async def processes(
    handler: Handler = shout, count: int = 2, **options: Any
) -> AsyncIterator[Processes]:
    """Run processes of a hub with this handler; `Channel.state` has the hub of its process."""
    store = StoreModel()
    resumed: list[bool] = []

    def make_hub(shared: SharedStore) -> Hub:
        async def handle(channel: Channel) -> None:
            resumed.append(channel.resumed)
            channel.state.hub = hub
            await handler(channel)

        hub = Hub(handle, store=shared, name="test", **options)
        return hub

    async with cluster(make_hub, count, store=store) as each:
        yield Processes(each, store, resumed)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.01)
