"""Mutants outside of the cores: a test detects each of these broken rules."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from tests.properties.mutants.inner import INNER
from tests.properties.mutants.mutant import TestedMutant
from tests.properties.mutants.shared import TESTED
from tests.properties.mutants.topics import TOPICS
from transport import ChannelClosed, SessionReset
from transport.testing import JumpingEventLoop


def run(mutant: TestedMutant) -> None:
    """Run the mutant's test."""
    awaitable = mutant.test()
    if inspect.isawaitable(awaitable):
        with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
            runner.run(_within(awaitable))


async def _within(awaitable: object) -> None:
    assert inspect.isawaitable(awaitable)
    async with asyncio.timeout(600):  # on the test's clock, which jumps
        await awaitable


@pytest.mark.parametrize("mutant", [*INNER, *TOPICS, *TESTED], ids=lambda mutant: mutant.name)
def test_tested_mutant_is_detected(mutant: TestedMutant) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Its code, so that it is broken wherever it was imported.
        patch.setattr(mutant.original, "__code__", mutant.broken().__code__)
        with pytest.raises((AssertionError, TimeoutError, ChannelClosed, SessionReset)):
            run(mutant)
