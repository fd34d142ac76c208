"""The application of a world of processes: its handler notes what it is given, and sends."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from transport import Channel, ChannelClosed, Hub

EVERYONE = "*"
"""The topic of `Hub.broadcast`; another one is the name of a group."""
TOPICS = ("lobby", "odd", EVERYONE)


@dataclass(eq=False)
class Session:
    """What one handler has done.

    Attributes:
        id: of the session.
        subject: whose it is.
        home: the index of its process.
        member_since: the topics that it is a member of, and since when, in the order of events.
        orders: what its handler is to do on its own: the name of a method, and arguments.
        is_over: whether it has returned, or was cancelled.
    """

    id: str
    subject: str
    home: int
    member_since: dict[str, int]
    orders: asyncio.Queue[tuple[str, tuple[Any, ...]]] = field(default_factory=asyncio.Queue)
    sent: int = 0
    is_over: bool = False


@dataclass(eq=False)
class Publication:
    """A message for many.

    Attributes:
        topic: of it.
        process: the index of the process that publishes.
        number: among those of this process.
        since: when it was sent, in the order of events.
        is_done: whether ``send`` has returned.
    """

    topic: str
    process: int
    number: int
    since: int
    is_done: bool = False


@dataclass(eq=False)
class Delivery:
    """A message for one session, by `Hub.send_to`: what that returned, or None."""

    session: str
    number: int
    process: int
    answer: bool | None = None


@dataclass(eq=False)
class Dismissal:
    """A user whose sessions were ended by `Hub.close_user`, and whether all processes answered."""

    subject: str
    since: int
    is_done: bool = False


class Journal:
    """What all handlers have done.

    Attributes:
        sessions: by their ids.
        handed: the numbers of each client's messages, as they were handed out over all sessions.
        finished: messages that a handler has finished with, as ``(client, number)``.
        publications, deliveries, dismissals: what they have begun.
        running: how many calls of the hub have not returned, by process.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.handed: dict[int, list[int]] = {}
        self.finished: set[tuple[int, int]] = set()
        self.publications: list[Publication] = []
        self.deliveries: dict[int, Delivery] = {}
        self.dismissals: list[Dismissal] = []
        self.running: Counter[int] = Counter()
        self.events = itertools.count(1)

    async def handle(self, hub: Hub, channel: Channel, home: int) -> None:
        """Serve a channel; the handler of the process ``home``."""
        assert channel.id not in self.sessions, f"session {channel.id} began twice"
        topics = {EVERYONE: next(self.events)}
        for name in TOPICS[: 1 + len(self.sessions) % 2]:
            await hub.group(name).add(channel)
            topics[name] = next(self.events)
        session = Session(channel.id, channel.user, home, topics)
        self.sessions[channel.id] = session
        acting = asyncio.create_task(self._act(session, hub, channel))
        try:
            async for message in channel:
                client, number, replies, delay = message
                self._hand(client, number)
                if delay:
                    await asyncio.sleep(delay / 1000)
                for _ in range(replies):
                    await self._reply(session, channel)
                self.finished.add((client, number))
        finally:
            session.is_over = True
            acting.cancel()

    def _hand(self, client: int, number: int) -> None:
        """Check that nothing is handed out twice, or before what was sent earlier."""
        handed = self.handed.setdefault(client, [])
        last = handed[-1] if handed else 0
        assert number > last, f"message {number} of client {client} was handed out after {last}"
        handed.append(number)

    async def _reply(self, session: Session, channel: Channel) -> None:
        session.sent += 1
        await channel.send([session.id, session.sent])

    async def _act(self, session: Session, hub: Hub, channel: Channel) -> None:
        """Do what the world orders, as several tasks of an application do."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                name, arguments = await session.orders.get()
                if name == "push":
                    with suppress(ChannelClosed):
                        for _ in range(arguments[0]):
                            await self._reply(session, channel)
                else:
                    tasks.create_task(self._call(session.home, hub, name, *arguments))

    async def _call(self, home: int, hub: Hub, name: str, argument: str) -> None:
        self.running[home] += 1
        try:
            # A process that is stopped may do it yet; one that is shut down does nothing more.
            with suppress(TimeoutError, RuntimeError):
                await getattr(self, f"_{name}")(home, hub, argument)
        finally:
            self.running[home] -= 1

    async def _publish(self, home: int, hub: Hub, topic: str) -> None:
        number = len(self.publications) + 1
        publication = Publication(topic, home, number, next(self.events))
        self.publications.append(publication)
        message = [topic, home, number]
        if topic == EVERYONE:
            await hub.broadcast(message)
        else:
            await hub.group(topic).send(message)
        publication.is_done = True

    async def _deliver(self, home: int, hub: Hub, session: str) -> None:
        number = len(self.deliveries) + 1
        delivery = self.deliveries[number] = Delivery(session, number, home)
        delivery.answer = await hub.send_to(session, ["to", number, 0])

    async def _dismiss(self, home: int, hub: Hub, subject: str) -> None:
        dismissal = Dismissal(subject, next(self.events))
        self.dismissals.append(dismissal)
        await hub.close_user(subject)
        dismissal.is_done = True
