"""`Publisher`: sends to the channels of a hub, from a process that serves none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from transport.limits import Limits
from transport.protocol.codec import Encoder, encode_message
from transport.protocol.frames import Json
from transport.protocol.topic_names import DISMISSALS, EVERYONE, GROUP, encode_dismissal
from transport.stores.names import shorten_topic
from transport.stores.topics.running import keep_running
from transport.stores.topics.wire import TopicStore
from transport.stores.topics.writer import TopicWriter


class PublishedStore(Protocol):
    """A store that other processes can reach, as `RedisStore`."""

    def topics(self, hub: str, limits: Limits) -> TopicStore:
        """Return the topics of a hub."""
        ...


class Publisher:
    """Sends to the channels of a hub, from a process that serves none, as a worker of jobs.

    async with Publisher(RedisStore("redis://localhost:6379/0"), hub="chat") as publisher:
        await publisher.group("lobby").send({"text": "Hello"})
        await publisher.broadcast("Maintenance at noon")
        await publisher.close_user("ann")

    It has one connection, which it opens when it sends first, and replaces when it breaks. What is
    sent reaches each channel once, in the order of the calls, also if the store answers late or is
    replaced. Use one for all messages of a process, in one event loop.

    Args:
        store: that of the hub: a `RedisStore` with the same Redis and prefix.
        hub: the name of the hub: ``Hub(handler, name="chat", store=...)``.
        limits: those of the hub, if it has others than the default.
        encoder: called for a value that JSON cannot represent; None refuses it.

    Raises:
        TypeError: the store is one that other processes cannot reach, or the name is not a str.
    """

    def __init__(
        self,
        store: PublishedStore,
        *,
        hub: str,
        limits: Limits | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        if not callable(getattr(store, "topics", None)):
            raise TypeError(
                f"a Publisher needs a store that other processes can reach, such as RedisStore: "
                f"what it sends to a {type(store).__name__} would reach nobody"
            )
        if not isinstance(hub, str):
            raise TypeError(f"hub is the name of a hub, a str, not a {type(hub).__name__}")
        self._limits = limits or Limits()
        self._encoder = encoder
        self._topics = store.topics(hub, self._limits)
        self._writer: TopicWriter | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Publisher:
        """Begin. Nothing is connected yet.

        Raises:
            RuntimeError: it has begun already.
        """
        if self._task is not None:
            raise RuntimeError("this Publisher is in use already: make another one")
        self._writer = TopicWriter(self._topics.publish_wire())
        self._task = asyncio.create_task(
            keep_running(self._writer.run), name="onechannel publisher"
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End. What was sent before, and is still on its way, is waited for."""
        assert self._task is not None
        assert self._writer is not None
        try:
            await self._writer.flush()
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = self._writer = None

    def group(self, name: str) -> PublishedGroup:
        """Return a group of the hub.

        Raises:
            TypeError: the name is not a str.
        """
        if not isinstance(name, str):
            raise TypeError(f"a group's name is a str, not a {type(name).__name__}: {name!r}")
        return PublishedGroup(name, self._send)

    async def broadcast(self, message: Json) -> None:
        """Send one message to all channels of the hub.

        Raises:
            Unsendable, TooLarge, StoreUnavailable, RuntimeError: see `PublishedGroup.send`.
        """
        await self._send(EVERYONE, message)

    async def close_user(self, subject: str) -> None:
        """End the sessions of a user with ``unauthorized``, in all processes (IDN-2).

        Returns when the store has it: a session that is just being resumed by another process ends
        too.

        Raises:
            TypeError: the subject is not a str.
            StoreUnavailable, RuntimeError: see `PublishedGroup.send`.
        """
        if not isinstance(subject, str):
            raise TypeError(
                f"a subject is a str, as in Identity(subject), not a {type(subject).__name__}"
            )
        writer = self._running()
        await writer.publish(DISMISSALS, encode_dismissal(subject), dismisses=subject)

    async def _send(self, topic: str, message: Json, exclude: str = "") -> None:
        payload = encode_message(message, self._limits, self._encoder)
        await self._running().publish(topic, payload, exclude=exclude)

    def _running(self) -> TopicWriter:
        if self._task is None or self._writer is None:
            raise RuntimeError(
                "this Publisher has not begun: use it in `async with Publisher(...) as publisher:`"
            )
        if self._task.get_loop() is not asyncio.get_running_loop():
            raise RuntimeError("this Publisher belongs to another event loop: make one for each")
        return self._writer


class PublishedGroup:
    """A group of a hub, to which a `Publisher` sends.

    Attributes:
        name: the name of the group.
    """

    __slots__ = ("_send", "name")

    def __init__(self, name: str, send: Callable[[str, Json, str], Any]) -> None:
        self.name = name
        self._send = send

    def __repr__(self) -> str:
        return f"<PublishedGroup {self.name!r}>"

    async def send(self, message: Json, *, exclude: str = "") -> None:
        """Send one message to every channel of the group, in all processes.

        Returns when the store has it. If the call is cancelled, the message is sent nevertheless.

        Args:
            message: str, bytes or a JSON value.
            exclude: the id of a channel that does not get it.

        Raises:
            TypeError: ``exclude`` is not a str.
            Unsendable, TooLarge: the message cannot be sent; no channel gets it.
            StoreUnavailable: the store did not take it within 15 s. It may have done so: then the
                channels get it.
            RuntimeError: called outside the ``async with`` of the publisher, or in another event
                loop.
        """
        if not isinstance(exclude, str):
            raise TypeError(
                f"exclude is the id of a channel, a str, not a {type(exclude).__name__}"
            )
        await self._send(shorten_topic(GROUP + self.name), message, exclude)
