"""Which sessions of which the store has nothing live in other processes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from transport import codes
from transport.errors import ProtocolError
from transport.server.relay.lost_records import MAX_ASKED, LostRecords, Rewritten
from transport.testing import JumpingEventLoop


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"loop_factory": JumpingEventLoop}


class Others:
    """The other processes.

    Attributes:
        asked: the sessions of each question.
        held: those that they have.
        is_complete: whether all of them answer.
        may_answer: set while they do.
    """

    def __init__(self, *held: str) -> None:
        self.asked: list[list[str]] = []
        self.held = held
        self.is_complete = True
        self.may_answer = asyncio.Event()

    async def rewrite(self, session_ids: Sequence[str]) -> Rewritten:
        self.asked.append(list(session_ids))
        await self.may_answer.wait()
        return Rewritten({each for each in session_ids if each in self.held}, self.is_complete)


async def test_sessions_share_a_question() -> None:
    """While one is under way, the next is for all that are wanted meanwhile."""
    others = Others("b", "d")
    records = LostRecords(others.rewrite)
    first = asyncio.create_task(records.is_held("a"))
    await asyncio.sleep(0.1)
    rest = [asyncio.create_task(records.is_held(each)) for each in ("b", "c", "b", "d")]
    await asyncio.sleep(0.1)
    others.may_answer.set()
    assert await asyncio.gather(first, *rest) == [False, True, False, True, True]
    assert others.asked == [["a"], ["b", "c", "d"]]


async def test_question_is_bounded() -> None:
    others = Others()
    others.may_answer.set()
    records = LostRecords(others.rewrite)
    names = [str(number) for number in range(MAX_ASKED + 1)]
    assert not any(await asyncio.gather(*map(records.is_held, names)))
    assert [len(each) for each in others.asked] == [MAX_ASKED, 1]


@pytest.mark.parametrize("answers", [True, False])
async def test_silent_process_leaves_it_open(*, answers: bool) -> None:
    """A session that another has is known nevertheless."""
    others = Others("b")
    others.is_complete = False
    records = LostRecords(others.rewrite)
    if answers:
        others.may_answer.set()
        assert await records.is_held("b")
    with pytest.raises(ProtocolError) as refused:
        await records.is_held("a")
    assert refused.value.code is codes.UNAVAILABLE
    records.stop()
