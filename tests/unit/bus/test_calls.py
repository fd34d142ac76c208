"""Calls: each question has one answer, or an error that gives the reason."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import Raw, msgpack

from transport.bus.calls import Calls
from transport.bus.interface import NoAnswer, NotReached, Pipe
from transport.bus.items import Answer, Call, Cancel, Item

DEADLINE = 30.0


class End:
    """One end of a pipe in memory, which passes items in the next turn of the loop."""

    def __init__(self, calls: Calls, peer: str) -> None:
        self.calls = calls
        self.peer = peer
        self.is_open = True
        self.is_own = peer == "home"
        self.holds = False
        self.sent: list[Item] = []
        self.other: End

    def send(self, item: Item) -> None:
        self.sent.append(item)
        if self.is_open and not self.holds:
            asyncio.get_running_loop().call_soon(self.other.deliver, item)

    def deliver(self, item: Item) -> None:
        if self.is_open:
            assert isinstance(item, Call | Cancel | Answer)
            self.calls.received(self, item)

    def end(self) -> None:
        for each in (self, self.other):
            each.is_open = False
            each.calls.ended(each)


class Home:
    """A process that answers calls, and what it saw."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.go_on = asyncio.Event()

    async def double(self, pipe: Pipe, body: Raw) -> Any:
        return [pipe.peer, 2 * msgpack.decode(body)]

    async def park(self, pipe: Pipe, body: Raw) -> Any:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set_result(None)
            raise
        return "later"

    async def raises(self, pipe: Pipe, body: Raw) -> Any:
        raise LookupError("a defect")


class Pair:
    """An edge that asks, and a home that answers."""

    def __init__(self) -> None:
        self.home = Home()
        self.edge_calls, self.home_calls = Calls(), Calls()
        for kind in ("double", "park", "raises"):
            self.home_calls.respond(kind, getattr(self.home, kind))
        self.pipe, self.back = End(self.edge_calls, "home"), End(self.home_calls, "edge")
        self.pipe.other, self.back.other = self.back, self.pipe

    async def ask(self, kind: str, body: Any = None, within: float | None = DEADLINE) -> Any:
        return msgpack.decode(await self.edge_calls.call(self.pipe, kind, body, within))


@pytest.fixture
async def pair() -> Pair:
    return Pair()


async def test_each_call_gets_its_own_answer(pair: Pair) -> None:
    parked = asyncio.create_task(pair.ask("park"))
    async with asyncio.timeout(DEADLINE):
        answers = await asyncio.gather(*(pair.ask("double", number) for number in range(100)))
        assert answers == [["edge", 2 * number] for number in range(100)]
        assert not parked.done()
        pair.home.go_on.set()
        assert await parked == "later"


async def test_call_that_is_not_answered_in_time_is_cancelled_there(pair: Pair) -> None:
    with pytest.raises(NoAnswer, match=r"home did not answer park in 0\.05 s"):
        await pair.ask("park", within=0.05)
    async with asyncio.timeout(DEADLINE):
        await pair.home.cancelled
    pair.home.go_on.set()
    assert await pair.ask("double", 1) == ["edge", 2]  # a late answer is for nobody


async def test_caller_that_leaves_cancels_there(pair: Pair) -> None:
    """As a client that leaves its parked poll."""
    parked = asyncio.create_task(pair.ask("park"))
    async with asyncio.timeout(DEADLINE):
        await pair.home.begun.wait()
        parked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await parked
        await pair.home.cancelled


async def test_end_of_pipe_ends_calls_on_both_sides(pair: Pair) -> None:
    parked = asyncio.create_task(pair.ask("park"))
    async with asyncio.timeout(DEADLINE):
        await pair.home.begun.wait()
        pair.pipe.end()
        with pytest.raises(NotReached, match="home"):
            await parked
        await pair.home.cancelled
    with pytest.raises(NotReached):
        await pair.ask("double", 1)
    assert not any(isinstance(item, Cancel) for item in pair.pipe.sent)


async def test_defect_of_one_call_leaves_the_others(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NoAnswer, match="home could not answer raises"):
        await pair.ask("raises")
    assert "call_failed call=raises" in caplog.text
    assert "a defect" in caplog.text
    assert await pair.ask("double", 1) == ["edge", 2]


async def test_question_that_cannot_be_encoded_leaves_nothing(pair: Pair) -> None:
    with pytest.raises(UnicodeEncodeError):
        await pair.ask("double", "\ud800")
    assert not pair.edge_calls._waiting


async def test_unknown_kind_has_no_answer(pair: Pair) -> None:
    """A later release asks what this one does not know."""
    with pytest.raises(NoAnswer, match="home could not answer news"):
        await pair.ask("news")


async def test_stop_cancels_what_is_being_answered(pair: Pair) -> None:
    parked = asyncio.create_task(pair.ask("park", within=0.2))
    async with asyncio.timeout(DEADLINE):
        await pair.home.begun.wait()
        pair.home_calls.stop()
        await pair.home.cancelled
        with pytest.raises(NoAnswer):
            await parked
