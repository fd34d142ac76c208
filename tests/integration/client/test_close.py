"""The end of a channel of `connect`, by either side, against a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.integration.client.kit import (
    TRANSPORTS,
    apps,
    no_leaked_tasks,
    open_to,
    report,
    until_report,
)
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import serving
from transport import ChannelClosed, Fate, Unacknowledged


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_leaving_block_flushes(transport: str) -> None:
    """CLS-2: everything sent is handled before the block ends."""
    async with apps("echo") as server:
        async with open_to(server.port, transport) as channel:
            for index in range(500):
                await channel.send(index)
        assert channel.statistics().acknowledged == 500
        final = await report(server)
        assert final["messages"] == list(range(500))
        assert (final["ended"], final["channels"]) == (1, [])
        await channel.close()  # already closed: no effect
        channel.reconnect()
        channel.suspend()
        assert channel.phase == "closed"


async def test_close_flushes_despite_cut() -> None:
    async with (
        apps("echo") as server,
        FaultProxy(server.port) as proxy,
        open_to(proxy.port) as channel,
    ):
        proxy.stall("up")
        for index in range(10):
            await channel.send(index)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.close, 3000, "done")
            await anyio.sleep(0.05)
            proxy.cut()
            proxy.heal()
        assert [message async for message in channel] == list(range(10))
        with pytest.raises(ChannelClosed) as caught:
            await channel.receive()
        assert (caught.value.code, caught.value.reason) == (3000, "done")


async def test_channel_closed_at_once_has_its_messages() -> None:
    """The close may arrive with `opened`, before the block is entered."""
    async with serving("tests.integration.client.apps:brief", "--no-access-log") as server:
        for transport in TRANSPORTS * 3:
            async with open_to(server.port, transport) as channel:
                assert [message async for message in channel] == [0, 1, 2]
                with pytest.raises(ChannelClosed) as caught:
                    await channel.receive()
            assert (caught.value.code, caught.value.reason) == (4000, "that was all")


async def test_failing_handler_closes_channel_with_error() -> None:
    async with (
        serving("tests.integration.client.apps:failing", "--no-access-log", clean=False) as server,
        open_to(server.port) as channel,
    ):
        number = await channel.send("boom")
        with pytest.raises(ChannelClosed) as caught:
            async for _ in channel:
                pass
        assert caught.value.code == 1011
        with pytest.raises(Unacknowledged) as lost:
            await channel.acknowledged(number)
        assert lost.value.fate is Fate.UNKNOWN
        assert isinstance(lost.value.__cause__, ChannelClosed)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_exception_in_block_propagates(transport: str) -> None:
    async with apps("echo") as server, no_leaked_tasks():

        async def fail() -> None:
            async with open_to(server.port, transport) as channel:
                await channel.send("heard")
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await fail()
        await until_report(server, lambda found: found["ended"] == 1)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("native", [False, True], ids=["anyio", "asyncio"])
async def test_cancellation_leaves_no_task(transport: str, native: bool) -> None:
    """Cancel at various moments of a channel's life."""
    async with apps("echo") as server:

        async def use() -> None:
            async with open_to(server.port, transport) as channel:
                for index in range(3):
                    await channel.send(index)
                    assert await channel.receive() == index
                channel.reconnect()
                await channel.send("again")
                assert await channel.receive() == "again"

        for delay in (0.0, 0.001, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03):
            async with no_leaked_tasks():
                if native:
                    task = asyncio.create_task(use())
                    await asyncio.sleep(delay)
                    task.cancel()
                    await asyncio.wait([task])
                    assert task.cancelled() or task.exception() is None
                else:
                    with anyio.move_on_after(delay):
                        await use()


async def test_cancellation_without_server_leaves_no_task() -> None:
    async with apps("echo") as server, FaultProxy(server.port) as proxy, no_leaked_tasks():
        with anyio.move_on_after(0.5) as scope:
            async with open_to(proxy.port) as channel:
                proxy.refuse = True
                proxy.cut()
                await channel.receive()
        assert scope.cancelled_caught
        proxy.heal()


async def test_waiting_receive_raises_when_channel_ends() -> None:
    async with apps("echo") as server:
        ended: list[type[BaseException]] = []

        async def wait(what: Any) -> None:
            try:
                await what()
            except (ChannelClosed, Unacknowledged) as error:
                ended.append(type(error))

        async with anyio.create_task_group() as tasks, open_to(server.port) as channel:
            tasks.start_soon(wait, channel.receive)
            await anyio.sleep(0.01)
        assert ended == [ChannelClosed]
