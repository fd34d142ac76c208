"""The chained signal handlers, in process: their owners, order and lifetime."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.support.counted import counted
from transport import Channel, Hub
from transport.server import shutdown
from transport.testing import ask, lines, opening, until


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


class Server:
    """A server that installs a handler of SIGTERM, as uvicorn does."""

    def __init__(self, hub: Hub | None = None) -> None:
        self.drained_first: list[bool] = []
        self._hub = hub
        signal.signal(signal.SIGTERM, self.on_signal)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self.drained_first.append(self._hub is None or has_drained(self._hub))


def has_drained(hub: Hub) -> bool:
    """Return whether the hub is draining: it drops every connection at once."""
    return sum(counted(hub).connections.values()) == 0


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the signal handlers of this process afterwards."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


async def test_signal_reaches_hubs_before_server() -> None:
    """DRN-1."""
    hub, other = Hub(silent), Hub(silent)
    server = Server(hub)
    async with hub.lifespan(), other.lifespan():
        for one in (hub, other):
            await ask(one, "/poll", lines(opening()))
            assert counted(one).connections["longpoll"] == 1
        signal.raise_signal(signal.SIGTERM)
        assert server.drained_first == []
        await until(lambda: bool(server.drained_first))
        assert server.drained_first == [True]
        assert has_drained(other)
        signal.raise_signal(signal.SIGTERM)
        assert server.drained_first == [True, True], "a second signal is passed on at once"


async def test_signal_waits_for_the_listener_that_takes_longest() -> None:
    server = Server()
    loop = asyncio.get_running_loop()
    removers = [shutdown.on_shutdown(lambda each=seconds: each) for seconds in (0.0, 0.2, 0.1)]  # type: ignore[misc]
    began = loop.time()
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: bool(server.drained_first))
    assert loop.time() - began >= 0.2 + shutdown.SIGNAL_DELAY
    for remove in removers:
        remove()


async def test_signal_is_passed_on_though_a_listener_fails() -> None:
    """Otherwise the server would never stop."""
    server = Server()
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> float:
        raise ValueError

    remove = shutdown.on_shutdown(fail)
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: bool(server.drained_first))
    assert [type(failure) for failure in failures] == [ValueError]
    remove()


async def test_second_signal_takes_the_place_of_the_first() -> None:
    """Ctrl-C reaches a worker twice; uvicorn, which gets SIGINT after that, skips its shutdown."""
    server = Server()
    remove = shutdown.on_shutdown(lambda: 0.2)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert len(server.drained_first) == 1
    await asyncio.sleep(0.2 + 2 * shutdown.SIGNAL_DELAY)
    assert len(server.drained_first) == 1
    remove()


async def test_signal_handlers_are_restored_after_last_hub() -> None:
    hub = Hub(silent)
    server = Server()
    async with hub.lifespan():
        await ask(hub, "/poll", lines(opening()))
        assert signal.getsignal(signal.SIGTERM) != server.on_signal
    assert signal.getsignal(signal.SIGTERM) == server.on_signal


async def test_second_server_on_same_loop_is_chained() -> None:
    first, second = Hub(silent), Hub(silent)
    Server()
    await ask(first, "/poll", lines(opening()))
    server = Server(second)  # replaces the handler of the first server
    await ask(second, "/poll", lines(opening()))
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: bool(server.drained_first))
    assert server.drained_first == [True]


async def test_signal_handler_set_later_is_chained() -> None:
    """When the first hub starts to listen, only SIGINT has a handler, as asyncio sets one."""
    first, second = Hub(silent), Hub(silent)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, lambda *_: None)
    await ask(first, "/poll", lines(opening()))
    server = Server(second)
    await ask(second, "/poll", lines(opening()))
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: bool(server.drained_first))
    assert server.drained_first == [True]


def test_closed_loops_leave_no_chain() -> None:
    """Otherwise a signal would pass through every closed loop, and none would be freed."""
    server = Server()

    async def serve() -> object:
        await ask(Hub(silent), "/poll", lines(opening()))
        handler = signal.getsignal(signal.SIGTERM)
        notice = getattr(handler, "__self__", None)
        assert isinstance(notice, shutdown.ShutdownNotifier)
        return notice.original(signal.SIGTERM)

    for _ in range(5):
        assert asyncio.run(serve()) == server.on_signal
    signal.raise_signal(signal.SIGTERM)
    assert server.drained_first == [True]


def test_hub_moves_to_another_loop() -> None:
    """Tests do this: each test has its own loop."""
    hub = Hub(silent)

    async def serve() -> None:
        assert (await ask(hub, "/poll", lines(opening()))).status == 200
        assert counted(hub).sessions == 1

    for _ in range(3):
        asyncio.run(serve())


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler])
async def test_default_signal_handler_is_kept(handler: signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)
    hub = Hub(silent)
    async with hub.lifespan():
        await ask(hub, "/poll", lines(opening()))
        assert signal.getsignal(signal.SIGTERM) is handler
