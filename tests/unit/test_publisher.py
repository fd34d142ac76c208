"""`Publisher`: what it sends reaches the members in every process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.turned_clock import anyio_backend
from transport import Limits, MemoryStore, TooLarge, Unsendable
from transport.errors import StoreUnavailable
from transport.protocol.topic_names import decode_dismissal
from transport.publisher import Publisher
from transport.stores.topics.wire import TopicStore
from transport.testing.topic_model import TopicModel

__all__ = ("anyio_backend",)


class Store:
    """A store with the topics of one hub."""

    def __init__(self) -> None:
        self.model = TopicModel()
        self.hubs: list[str] = []

    def topics(self, hub: str, limits: Limits) -> TopicStore:
        self.hubs.append(hub)
        return self.model

    @property
    def sent(self) -> list[tuple[str, object, str]]:
        return [(topic, entry.payload, entry.exclude) for topic, entry in self.model.entered]


async def test_publisher_sends_to_topics_of_its_hub() -> None:
    store = Store()
    async with Publisher(store, hub="chat") as publisher:
        group = publisher.group("lobby")
        await group.send({"text": "hello"})
        await group.send(b"\0", exclude="someone")
        await publisher.broadcast("noon")
    assert store.hubs == ["chat"]
    assert store.sent == [
        ("g/lobby", '{"text":"hello"}', ""),
        ("g/lobby", b"\0", "someone"),
        ("*", '"noon"', ""),
    ]
    assert repr(group) == "<PublishedGroup 'lobby'>"


async def test_publisher_dismisses_a_user() -> None:
    store = Store()
    async with Publisher(store, hub="chat") as publisher:
        await publisher.close_user("ann")
    [(topic, entry)] = store.model.entered
    assert topic == "!"
    assert decode_dismissal(entry.payload) == "ann"
    assert store.model.dismissed.keys() == {"ann"}


async def test_message_that_cannot_be_sent_is_refused() -> None:
    store = Store()
    limits = Limits(message=100)
    async with Publisher(store, hub="chat", limits=limits) as publisher:
        with pytest.raises(Unsendable):
            await publisher.broadcast(object())
        with pytest.raises(TooLarge):
            await publisher.broadcast("x" * 100)
    async with Publisher(store, hub="chat", encoder=lambda value: "seen") as publisher:
        await publisher.broadcast(object())
    assert store.sent == [("*", '"seen"', "")]


async def test_end_waits_for_what_is_on_its_way() -> None:
    store = Store()
    async with Publisher(store, hub="chat") as publisher:
        task = asyncio.create_task(publisher.broadcast("1"))
        await asyncio.sleep(0)
        task.cancel()
    assert store.sent == [("*", '"1"', "")]


async def test_store_that_is_away_is_an_error_after_a_while() -> None:
    store = Store()
    store.model.refuses = "LOADING"
    async with Publisher(store, hub="chat") as publisher:
        with pytest.raises(StoreUnavailable, match="LOADING"):
            await publisher.group("lobby").send("1")


@pytest.mark.parametrize("excluded", [None, 1, b"someone"])
async def test_wrong_exclude_is_refused_and_others_are_sent(excluded: Any) -> None:
    store = Store()
    async with asyncio.timeout(10), Publisher(store, hub="chat") as publisher:
        group = publisher.group("lobby")
        with pytest.raises(TypeError, match="exclude is the id of a channel"):
            await group.send("1", exclude=excluded)
        await group.send("2")
    assert store.sent == [("g/lobby", '"2"', "")]


async def test_publisher_is_used_in_its_block_only() -> None:
    publisher = Publisher(Store(), hub="chat")
    with pytest.raises(RuntimeError, match="use it in `async with"):
        await publisher.broadcast("1")
    async with publisher:
        with pytest.raises(RuntimeError, match="in use already"):
            await publisher.__aenter__()
        elsewhere = asyncio.to_thread(asyncio.run, publisher.broadcast("1"))
        with pytest.raises(RuntimeError, match="another event loop"):
            await elsewhere
    with pytest.raises(RuntimeError, match="has not begun"):
        await publisher.close_user("ann")
    async with publisher:
        await publisher.broadcast("2")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Publisher(MemoryStore(), hub="chat"), "such as RedisStore"),  # type: ignore[arg-type]
        (lambda: Publisher(Store(), hub=1), "the name of a hub, a str, not a int"),  # type: ignore[arg-type]
        (lambda: Publisher(Store(), hub="chat").group(1), "a group's name is a str, not a int"),  # type: ignore[arg-type]
    ],
)
async def test_wrong_arguments_are_named(make: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        make()


async def test_subject_is_a_str() -> None:
    async with Publisher(Store(), hub="chat") as publisher:
        with pytest.raises(TypeError, match="a subject is a str"):
            await publisher.close_user(1)  # type: ignore[arg-type]
