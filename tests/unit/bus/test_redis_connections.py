"""What runs on a connection ends together, and what it raised is told once."""

from __future__ import annotations

import asyncio

import pytest

from transport.bus.redis.commands import SILENT_TICKS, Commands
from transport.bus.redis.connections import ANSWER_WITHIN, until_one_ends
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
