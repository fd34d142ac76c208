"""Cancellation at every await of the client: in the application's task and in its own tasks.

A conversation is repeated over a network in memory. Each run cancels at a later wait of the client:
one of the application's task, of the client's own tasks or of the libraries below. `Mode` says what
is cancelled. In every case, a channel that is still open delivers each message once and in order,
and a channel that has ended leaves nothing behind.

`make test` covers a sample of the waits; ``CANCEL_EVERY=1`` covers all of them.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest

from tests.integration.client.memory_network import NetworkLoop
from tests.properties.cancellation import TRANSPORTS, runs
from tests.properties.client_canceller import TASK_MODES, Canceller, Mode, canceller, make_task
from tests.properties.client_conversations import (
    LIMITS,
    Conversation,
    World,
    closed,
    closing,
    cut,
    fallback,
    reset,
    talk,
    websocket,
)
from tests.support.counted import counted
from transport import ChannelClosed, Unacknowledged

STRIDE = int(os.environ.get("CANCEL_EVERY", "79"))
"""Cancel at one wait in this many. A prime, so that each conversation samples other waits."""


async def run(
    world: World, mode: Mode, at: int, conversation: Conversation, expected: list[Any]
) -> Canceller:
    """Run the conversation once, and check what it leaves behind."""
    loop: Any = asyncio.get_running_loop()
    call = Canceller(mode, at)
    clients: list[httpx.AsyncClient] = []

    class HttpClient(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            clients.append(self)

    loop_errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: loop_errors.append(context))
    loop.set_task_factory(make_task)

    async def use() -> bool:
        canceller.set(call)
        with anyio.CancelScope() as scope:
            call.block = scope.cancel if mode is Mode.BLOCK_SCOPE else asyncio.current_task().cancel  # type: ignore[union-attr]
            await conversation(world, call)
        return scope.cancelled_caught

    try:
        # The application's task counts as a client task: the task factory sees `canceller` set.
        token = canceller.set(call)
        task = asyncio.create_task(use(), name="user")
        canceller.reset(token)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(httpx, "AsyncClient", HttpClient)
            # httpcore tries to import it in each request, which takes most of the time of a run.
            patch.setitem(sys.modules, "sniffio", None)
            async with asyncio.timeout(100):
                await asyncio.wait([task])
        error = outcome(task)
        alive = error is None and not (mode is Mode.BLOCK_SCOPE and task.result())
        check(world, call, task, error, expected, alive=alive)
        assert all(one.done() for one in call.tasks), [one for one in call.tasks if not one.done()]
        assert all(one.is_closed for one in clients)
        assert all(end.closing for end in world.network.ends)
        driver: Any = world.channel and world.channel._driver
        if driver is not None:
            assert driver._waiters._waiting == driver.window.senders == []
            assert driver.inbox._receiver is driver._turns._waker is None
            assert not driver.connector.tasks.is_busy
        await check_server(world, call, healthy=world.network.up)
        assert loop_errors == []
    except BaseException as failure:
        failure.add_note(f"{mode.value} at wait {at}: {call.where or 'none'}")
        raise
    return call


def outcome(task: asyncio.Task[bool]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def check(
    world: World,
    call: Canceller,
    task: asyncio.Task[bool],
    error: BaseException | None,
    expected: list[Any],
    *,
    alive: bool,
) -> None:
    """Check that the application got correct results."""
    if alive:
        assert world.client_received == expected
        assert world.server_received == [one for one in expected if one != "hello"]
        return
    assert call.fired, error
    assert world.client_received == expected[: len(world.client_received)]
    assert (
        world.server_received
        == [one for one in expected if one != "hello"][: len(world.server_received)]
    )
    if call.mode is Mode.BLOCK:
        assert task.cancelled(), error
    elif call.mode is Mode.BLOCK_SCOPE:
        assert error is None  # the scope has caught the cancellation
    else:
        assert call.main, error
        assert isinstance(error, (ChannelClosed, Unacknowledged)), error


async def check_server(world: World, call: Canceller, *, healthy: bool) -> None:
    """Check that the session was closed if the close could be sent, and expires otherwise."""
    runtime = world.hub._lifecycle.current
    if runtime is None:
        return  # no request reached it
    if healthy and world.entered and call.mode not in TASK_MODES:
        await asyncio.sleep(0.5)
        assert counted(world.hub).sessions == 0
    await asyncio.sleep(LIMITS.ttl + LIMITS.closing + 6.1)
    assert counted(world.hub).sessions == 0


def logged_by_client(record: logging.LogRecord) -> bool:
    """Return whether the client logged this warning.

    The server is excluded: it warns about clients that vanish in mid-request. So is the line that
    announces an outage: with one transport, any attempt that fails is one.
    """
    if getattr(record, "event", "") == "unreachable":
        return False
    ours = "/transport/client/" in record.pathname or record.name == "asyncio"
    return ours and record.levelno >= logging.WARNING


def cancel_everywhere(
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
    conversation: Conversation,
    expected: list[Any],
    **options: Any,
) -> int:
    """Run the conversation once for each sampled wait. Return the number of waits."""

    async def once(at: int) -> Canceller:
        random.seed(1)
        return await run(World(**options), mode, at, conversation, expected)

    first = 1 + random.Random(f"{mode}{conversation.__qualname__}").randrange(STRIDE)
    for at, call in runs(once, loop_factory=NetworkLoop, first=first, step=STRIDE):
        logged = [one for one in caplog.records if logged_by_client(one)]
        caplog.clear()
        if mode is Mode.FAILURE:
            logged = [one for one in logged if not one.exc_info]
        assert logged == [], f"{mode.value} at wait {at}: {call.where}"
        if not call.fired:
            break
    return call.count


@pytest.fixture(scope="module", autouse=True)
def nothing_left_unawaited() -> Iterator[None]:
    """Collect garbage, so that anything never awaited or retrieved warns and fails the module."""
    yield
    gc.collect()


CONVERSATIONS: dict[Callable[[str], Conversation], list[Any]] = {
    talk: ["hello", 0, 1, 2, 3, b"last"],
    cut: ["hello", 0, 1, 2, 3],
    closing: ["hello", 0, 1, 2],
    closed: ["hello", "go"],
    reset: ["hello", 0, "hello", 1],
}

modes = pytest.mark.parametrize("mode", Mode, ids=[mode.value for mode in Mode])


@modes
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "make_conversation", CONVERSATIONS, ids=[one.__name__ for one in CONVERSATIONS]
)
def test_conversation_survives_cancellation(
    make_conversation: Callable[[str], Conversation],
    transport: str,
    mode: Mode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits = cancel_everywhere(
        caplog, mode, make_conversation(transport), CONVERSATIONS[make_conversation]
    )
    assert waits > 5
    print(f"{make_conversation.__name__}, {transport}, {mode.value}: {waits} waits")  # noqa: T201


@modes
@pytest.mark.parametrize("transport", TRANSPORTS[1:])
def test_fallback_survives_cancellation(
    transport: str, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    served = TRANSPORTS[TRANSPORTS.index(transport) :]
    waits = cancel_everywhere(caplog, mode, fallback(transport), ["hello", 0], transports=served)
    assert waits > 5
    print(f"fallback, {transport}, {mode.value}: {waits} waits")  # noqa: T201


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode not in TASK_MODES])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_websocket_survives_cancellation(
    transport: str, mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    """A `send` that is cancelled has sent nothing, a `recv` has lost nothing."""
    expected = ["hello", "0", "1.", "2.", "3."]
    waits = cancel_everywhere(caplog, mode, websocket(transport), expected)
    assert waits > 5
    print(f"websocket, {transport}, {mode.value}: {waits} waits")  # noqa: T201
