"""Topics in a store, under random faults: each message once and in order, or a reset.

``TOPIC_LOG_SCHEDULES=5000`` plays more schedules, and lets them find every mutant.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from tests.properties.topics.group import Run
from tests.properties.topics.members import WatchedReader
from tests.properties.topics.mutants import MUTANTS, QUICK
from transport.server.topics.stored import log_readers
from transport.testing import JumpingEventLoop

SCHEDULES = int(os.environ.get("TOPIC_LOG_SCHEDULES", "30"))
STEPS = 40
MUTANT_SCHEDULES = max(60, SCHEDULES)


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_readers, "LogReader", WatchedReader)


def play(seed: int) -> Run:
    """Play a schedule, and return it checked."""

    async def run() -> Run:
        one = Run(seed)
        try:
            await one.play(STEPS)
        finally:
            await one.stop()
        return one

    with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
        return runner.run(run())


@pytest.mark.timeout(3600 if SCHEDULES > 1000 else 60)
def test_each_member_gets_each_message_once_in_order() -> None:
    runs = [play(seed) for seed in range(SCHEDULES)]
    members = [member for each in runs for member in each.everybody]
    was_reset = [member for member in members if member.was_reset]
    assert 0 < len(was_reset) < len(members) / 2
    assert sum(len(member.now.got) for member in members) > 5 * len(members)
    assert sum(each.answered for each in runs) > 5 * sum(each.unavailable for each in runs) > 0


@pytest.mark.timeout(3600 if SCHEDULES > 1000 else 60)
@pytest.mark.parametrize(
    "mutant", MUTANTS if SCHEDULES > 1000 else QUICK, ids=lambda mutant: mutant.__name__
)
def test_schedules_find_mutant(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    assert any(map(fails, range(MUTANT_SCHEDULES)))


def fails(seed: int) -> bool:
    try:
        play(seed)
    except (AssertionError, RuntimeError):
        return True
    return False
