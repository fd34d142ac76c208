"""Defects of one part that must not spread: a store or a deadline that fails, another's channel."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from tests.support.confirmed_socket import confirmed_socket
from tests.support.counted import counted
from tests.support.short_limits import ShortLimits
from transport import Channel, ChannelClosed, Hub, MemoryStore
from transport.server.runner import Runner
from transport.testing import ask, lines, opening, until

LIMITS = ShortLimits(heartbeat=0.1, poll_hold=0.1, ttl=0.5)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def closes(channel: Channel) -> None:
    await channel.close(4001, "not here")


class FailingStore(MemoryStore):
    """A store that cannot write."""

    async def save_tombstone(self, *arguments: Any) -> None:
        raise OSError("the disk is full")


async def test_failed_tombstone_is_logged_and_frees_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = Hub(closes, store=FailingStore())
    async with confirmed_socket(hub) as ws:
        assert (await ws.frame())["code"] == 4001
    await until(lambda: counted(hub).sessions == 0)
    await until(lambda: "the disk is full" in caplog.text)
    for record in caplog.records:  # a second one if the handler finished a message afterwards
        assert record.getMessage().startswith("store_failed call=save_tombstone channel=")
        assert record.levelno == logging.ERROR


class SlowStore(MemoryStore):
    """A store whose sweep takes longer than the time between two sweeps, and then fails."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps = 0
        self.running = 0
        self.most = 0
        self.done = asyncio.Event()

    async def sweep(self, now: float) -> None:
        self.sweeps += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.done.wait()
            raise OSError("the disk is full")
        finally:
            self.running -= 1


async def test_sweep_of_store_waits_for_previous_one(caplog: pytest.LogCaptureFixture) -> None:
    store = SlowStore()
    hub = Hub(silent, store=store, limits=LIMITS)
    async with hub.lifespan():
        await ask(hub, "/poll", lines(opening()))
        # The session expires, so at least two sweeps of the hub have passed.
        await until(lambda: counted(hub).sessions == 0)
        assert (store.sweeps, store.most) == (1, 1)
        store.done.set()
        await until(lambda: store.sweeps > 2)
        assert store.most == 1
    assert "store_failed call=sweep" in caplog.text
    # Once a minute, not at each of four sweeps in a second.
    assert sum("the disk is full" in record.message for record in caplog.records) <= 1


async def test_session_with_failing_tick_does_not_stop_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """LIV-3: the deadlines of all other sessions go on."""
    hub = Hub(silent, limits=LIMITS)
    broken = (await ask(hub, "/poll", lines(opening()))).frames[0]["id"]
    tick = Runner.tick

    def failing(runner: Runner, now: float) -> None:
        if runner.session.id == broken:
            raise RuntimeError("a defect")
        tick(runner, now)

    monkeypatch.setattr(Runner, "tick", failing)
    await ask(hub, "/poll", lines(opening(nonce="n" * 22)))
    assert counted(hub).sessions == 2
    await until(lambda: counted(hub).sessions == 1)
    [record] = caplog.records
    assert record.getMessage().startswith(f"tick_failed channel={broken}")
    assert record.exc_info is not None


async def test_closed_channel_of_other_session_is_logged_as_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channels: list[Channel] = []

    async def relays(channel: Channel) -> None:
        channels.append(channel)
        if len(channels) == 1:
            await silent(channel)
        else:
            async for message in channel:
                await channels[0].send(message)

    hub = Hub(relays)
    async with confirmed_socket(hub, nonce="a" * 22), confirmed_socket(hub, nonce="b" * 22) as ws:
        await channels[0].close()
        ws.send([1, 0, "x"])
        assert (await ws.frame())["code"] == 1011
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ChannelClosed)


async def test_closed_channel_of_other_session_fails_closing_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """CLS-3: that its own client has closed does not excuse the error of another channel."""
    channels: list[Channel] = []

    async def relays(channel: Channel) -> None:
        channels.append(channel)
        await silent(channel)
        if len(channels) == 2:
            await channels[0].send("the other has left")

    hub = Hub(relays)
    async with confirmed_socket(hub, nonce="a" * 22), confirmed_socket(hub, nonce="b" * 22) as ws:
        await channels[0].close()
        ws.send({"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0})
        assert (await ws.frame())["code"] == 1011
    assert "handler_failed" in caplog.text


async def test_own_closed_channel_in_task_group_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error that the end of the own session causes is dropped, the others of a group stay."""
    others: list[Exception] = [ValueError("a real one")]

    async def raises(error: Exception) -> None:
        raise error

    async def groups(channel: Channel) -> None:
        async with asyncio.TaskGroup() as group:
            try:
                await channel.receive()
            except ChannelClosed as error:
                for each in (error, *others):
                    group.create_task(raises(each))

    for expected in (1011, 1000):
        async with confirmed_socket(Hub(groups), nonce=f"{expected}" * 6) as ws:
            ws.send({"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0})
            assert (await ws.frame())["code"] == expected
        others.clear()
    [record] = caplog.records
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [ValueError]
