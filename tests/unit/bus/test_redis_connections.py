"""What runs on a connection ends together, and what it raised is told once."""

from __future__ import annotations

import asyncio

import pytest

from transport.bus.redis.commands import SILENT_TICKS, Commands
from transport.bus.redis.connections import ANSWER_WITHIN, until_one_ends
from transport.bus.redis.keys import Keys
from transport.bus.redis.redis_bus import RedisBus
from transport.stores.redis.connections import Connections
from transport.testing import JumpingEventLoop


async def fail(text: str) -> None:
    raise ConnectionError(text)


async def wait(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("cancelled")


async def test_others_are_cancelled_when_one_fails() -> None:
    log: list[str] = []
    with pytest.raises(ConnectionError, match="read"):
        await until_one_ends(wait(log), fail("read"), wait(log))
    assert log == ["cancelled"] * 2


async def test_all_are_cancelled_with_their_caller() -> None:
    log: list[str] = []
    task = asyncio.ensure_future(until_one_ends(wait(log), wait(log)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["cancelled"] * 2


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingEventLoop})])
async def test_connection_ends_if_a_command_is_not_answered() -> None:
    """Not if nothing was answered because nothing was asked."""
    commands = Commands(Connections("redis://localhost"), lambda: None)
    watching = asyncio.ensure_future(commands._watch())
    await asyncio.sleep(4 * ANSWER_WITHIN - 0.1)
    commands._unanswered.append((b"", lambda answer: None))
    await asyncio.sleep(ANSWER_WITHIN - 0.1)
    assert not watching.done()
    await asyncio.sleep(ANSWER_WITHIN / SILENT_TICKS + 0.2)
    assert watching.done()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingEventLoop})])
async def test_bus_whose_look_has_a_defect_looks_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without looks the others would count its process as gone."""
    looks: list[str] = []

    async def look(name: str = "") -> bool:
        looks.append(name)
        if len(looks) == 1:
            raise LookupError("a defect")
        return True

    monkeypatch.setattr("transport.bus.redis.redis_bus.LOOK_INTERVAL", 1.0)
    keys = Keys("hub")
    bus = RedisBus(Connections("redis://localhost"), keys, keys.new_name())
    monkeypatch.setattr(bus._subscription, "tick", lambda: None)
    monkeypatch.setattr(bus._finder, "look", look)
    watching = asyncio.ensure_future(bus._watch())
    try:
        await asyncio.sleep(3.5)
        assert len(looks) == 3
        assert caplog.text.count("redis_failed") == 1
    finally:
        watching.cancel()
