"""A defect, or a store that refuses for long, ends no task of the topics without a word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from tests.support.turned_clock import anyio_backend
from tests.unit.server.topics.stored.test_log_reader import Taker
from tests.unit.server.topics.stored.test_stored_topics import running
from transport.errors import StoreUnavailable
from transport.protocol.topic_log import Entry
from transport.protocol.topic_names import DISMISSALS, encode_dismissal
from transport.server.topics.stored.dismissals import Dismissals
from transport.stores.topics.running import keep_running
from transport.stores.topics.wire import Answer, Append
from transport.testing.topic_model import TopicModel

__all__ = ("anyio_backend",)


class Defective(Taker):
    """A member that raises when it is first offered something."""

    has_raised = False

    def offer(self, entry: Entry) -> bool:
        if not self.has_raised:
            self.has_raised = True
            raise LookupError("a defect")
        return super().offer(entry)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["event"] for record in caplog.records]


async def test_defect_of_a_reader_is_logged_and_nobody_misses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(TopicModel()) as topics:
        good, bad = Taker(None), Defective(None)
        await topics.join("g/a", good)
        await topics.join("g/a", bad)
        for number in range(3):
            await topics.publish("g/a", str(number))
        await asyncio.sleep(10)
        assert good.got == bad.got == ["0", "1", "2"]
        assert events(caplog) == ["topics_failed"]
        assert "a defect" in caplog.text


async def test_defect_of_a_writer_fails_what_it_had_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(TopicModel()) as topics:
        member = Taker(None)
        await topics.join("g/a", member)
        wire = topics._writer._wire
        publish = wire.publish

        async def raise_once(appends: Sequence[Append]) -> Sequence[Answer]:
            monkeypatch.setattr(wire, "publish", publish)
            raise LookupError("a defect")

        monkeypatch.setattr(wire, "publish", raise_once)
        with pytest.raises(StoreUnavailable, match="defect of this package"):
            await topics.publish("g/a", "0")
        await asyncio.sleep(10)
        await topics.publish("g/a", "1")
        assert member.got == ["1"]
        assert events(caplog) == ["topics_failed"]


async def test_defect_of_dismissals_is_logged_and_none_is_missed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    def end(subject: str, time: int) -> None:
        if not caplog.records:
            raise LookupError("a defect")
        ended.append(subject)

    async with running(TopicModel()) as topics:
        dismissals = Dismissals(topics, end, lambda: ["ann"], lambda subject: None)
        following = asyncio.create_task(keep_running(dismissals.run))
        try:
            await topics.publish(DISMISSALS, encode_dismissal("ann"), dismisses="ann")
            await asyncio.sleep(10)
            assert set(ended) == {"ann"}
            assert events(caplog)[0] == "topics_failed"
        finally:
            following.cancel()
            await asyncio.wait([following])


async def test_refusal_that_lasts_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """An ACL that does not let a process read is no outage: nothing else tells it."""
    store = TopicModel()
    async with running(store) as topics:
        member = Taker(None)
        await topics.join("g/a", member)
        with caplog.at_level(logging.INFO, "transport"):
            store.refuses = "NOPERM this user has no permissions"
            topics._readers._subscription.drop()
            topics._readers._reads._wire.drop()
            await asyncio.sleep(2)
            assert events(caplog) == []
            await asyncio.sleep(60)
            assert set(events(caplog)) == {"topics_refused"}
            assert len(caplog.records) <= 2, "one for each connection"
            assert "NOPERM" in caplog.text
            store.refuses = ""
            await asyncio.sleep(5)
            await topics.publish("g/a", "1")
            assert member.got == ["1"]
            store.pause()
            await asyncio.sleep(60)
            store.resume()
            assert len(caplog.records) <= 2, "what does not answer is told by the store"
