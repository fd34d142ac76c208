"""Shared code of the client's tests: channels to a real server, and the server's report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from tests.support.messages import numbered, same
from tests.support.servers.uvicorn import Server, serving
from transport import connect
from transport.client import Channel, Pacing

TRANSPORTS = ["websocket", "sse", "longpoll"]
PACING = Pacing(retry_base=0.02, retry_max=0.1)


def apps(name: str) -> Any:
    return serving(f"tests.support.apps:{name}", "--no-access-log")


def open_to(port: int, *transports: str, **options: Any) -> connect:
    options.setdefault("pacing", PACING)
    return connect(
        f"http://127.0.0.1:{port}/chat",
        transports=transports or TRANSPORTS,
        trust_env=False,
        **options,
    )


async def report(server: Server) -> dict[str, Any]:
    """Return what the handlers have seen, requested without the proxy."""
    async with httpx.AsyncClient(trust_env=False) as client:
        found: dict[str, Any] = (await client.get(f"{server.url}/report")).json()
        return found


async def until_report(server: Server, condition: Any) -> dict[str, Any]:
    last: dict[str, Any] = {}
    with anyio.move_on_after(10):
        while True:
            last = await report(server)
            if condition(last):
                return last
            await anyio.sleep(0.02)
    raise AssertionError(f"the server's report stayed {last}")


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while True:
            if condition():
                return
            await anyio.sleep(0.002)


async def release(server: Server) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        (await client.post(f"{server.url}/release")).raise_for_status()


@asynccontextmanager
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Check that the block leaves no running task."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before
    assert not left, left


async def converse(
    channel: Channel, count: int, steer: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Exchange ``count`` messages each way with ``campaign``; ``steer`` runs meanwhile."""
    await channel.send({"send": count})
    seen = 0

    async def produce() -> None:
        for index in range(1, count + 1):
            # Never run far ahead, so that both directions stay busy until the end.
            if index > seen + 500:
                await until(lambda: index <= seen + 400)  # noqa: B023 - called before the next
            await channel.send(numbered(index))
        await channel.flush()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        if steer is not None:
            tasks.start_soon(steer)
        for index in range(1, count + 1):
            due, message = numbered(index), await channel.receive()
            assert same(due, message), (index, repr(due)[:200], repr(message)[:200])
            seen = index


async def check(server: Server, count: int, *channels: Channel) -> None:
    """Check that nothing was lost, and that both ends agree once everything is at rest."""
    total = count * len(channels)

    def is_at_rest(found: dict[str, Any]) -> bool:
        acknowledged = all(one["acknowledged"] == one["sent"] for one in found["channels"])
        return found["received"] == total and acknowledged

    final = await until_report(server, is_at_rest)
    assert final["wrong"] == []
    assert (final["started"], final["sent"]) == (len(channels), total)
    assert len(final["channels"]) == len(channels)
    for there in final["channels"]:
        assert (there["received"], there["handled"], there["sent"]) == (count + 1,) * 2 + (count,)
        assert (there["buffered"], there["buffered_bytes"]) == (0, 0)
    for channel in channels:
        here = channel.statistics()
        assert here.resets == 0
        assert (here.sent, here.acknowledged, here.buffered) == (count + 1,) * 2 + (0,)
        assert here.received == count


async def failures(url: str, **options: Any) -> dict[str, str]:
    """Try to connect over every transport, and return why each has failed."""
    reasons: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    async def attempt() -> None:
        def note(found: dict[str, str]) -> None:
            if not reasons.done():
                reasons.set_result(found)

        async with connect(url, on_unreachable=note, pacing=PACING, **options):
            raise AssertionError("it connected")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt)
        with anyio.fail_after(30):
            found = await reasons
        tasks.cancel_scope.cancel()
    return found
