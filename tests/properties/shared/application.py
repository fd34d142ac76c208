"""The application of a world of processes that share a store: it notes what its handlers do.

A session may have several handlers, one after the other: each is the *part* of one process in it.
What a session has sent is known from its parts: a part goes on from the messages that the store had
when its process claimed the session, and what the parts before have sent above that is void.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from transport import Channel, ChannelClosed
from transport.protocol.server.session import ServerSession
from transport.testing.store_model import ModelStore

Order = tuple[str, int]
"""What a handler is to do on its own: the name of a method, and how often."""


@dataclass(frozen=True)
class Sent:
    """A message of a session.

    Attributes:
        content: the message.
        at: the number of the message that the handler had in hand, 0 if none.
        is_offered: whether it is not the handler's own, but of the hub.
    """

    content: list[Any]
    at: int
    is_offered: bool = False


@dataclass(eq=False)
class Part:
    """What the handler of one process has done in a session.

    Attributes:
        home: the index of the process.
        last, handled: the marks of the session when the part began.
        sent: what it has sent, by number.
        given: how many messages it was given.
        orders: what the handler is to do on its own.
        is_over: whether it has returned, or was cancelled.
    """

    home: int
    last: int
    handled: int
    sent: dict[int, Sent] = field(default_factory=dict)
    given: int = 0
    orders: asyncio.Queue[Order] = field(default_factory=asyncio.Queue)
    is_over: bool = False


@dataclass(eq=False)
class Session:
    """What the handlers of one session have done.

    Attributes:
        id: of the session.
        parts: one for each process that had it, in their order.
        given: by their numbers in the session, the client's messages as ``(client, number)``.
        flushed: the number up to which `Channel.flush` has told everything as stored.
        stored, handled: the highest marks that the store ever had.
        is_damaged: whether the store has lost some of it while no process could repair that.
    """

    id: str
    parts: list[Part] = field(default_factory=list)
    given: dict[int, tuple[int, int]] = field(default_factory=dict)
    flushed: int = 0
    stored: int = 0
    handled: int = 0
    is_damaged: bool = False

    def message(self, number: int) -> Sent | None:
        """Return the message of that number, as far as the parts are not void."""
        for part in reversed(self.parts):
            if part.last < number:
                return part.sent.get(number)
        return None

    def sent_for(self, at: int) -> list[Sent]:
        """Return the messages up to the beginning of the last part that were sent while the handler
        had this message in hand."""
        messages = (self.message(each) for each in range(1, self.parts[-1].last + 1))
        return [each for each in messages if each is not None and each.at == at]

    @property
    def deaths(self) -> int:
        """How many parts had the same message as the last one in hand, or next."""
        at = self.parts[-1].handled
        return sum(part.handled == at for part in self.parts)


class StoredJournal:
    """What all handlers have done.

    Args:
        store_of: returns the store of a process, by its index.
        unstored: how many messages a session may be given again.

    Attributes:
        sessions: by their ids.
        handed: the numbers of each client's messages that were handed out.
        finished: messages that a handler has finished with, as ``(client, number)``.
        again: how many messages were handed out more than once.
    """

    def __init__(self, store_of: Callable[[int], ModelStore], unstored: int) -> None:
        self.sessions: dict[str, Session] = {}
        self.handed: dict[int, set[int]] = {}
        self.finished: set[tuple[int, int]] = set()
        self.again = 0
        self._store_of = store_of
        self._unstored = unstored

    async def handle(self, channel: Channel, home: int) -> None:
        """Serve a channel; the handler of the process ``home``."""
        core = channel._driver.session
        session = self.sessions.setdefault(channel.id, Session(channel.id))
        part = self._begin(session, channel, home)
        acting = asyncio.create_task(self._act(session, part, channel))
        try:
            async for message in channel:
                client, number, replies, delay = message
                self._give(session, part, core.incoming.delivered, client, number)
                expected = self._partial(session, part, core.incoming.delivered)
                assert channel.partial == expected, f"partial is {channel.partial}, not {expected}"
                done = sum(
                    each.content[0] == "reply" for each in session.sent_for(core.incoming.delivered)
                )
                if delay:
                    await asyncio.sleep(delay / 1000)
                for index in range(done, replies):
                    await self._send(part, channel, ["reply", client, number, index])
                self.finished.add((client, number))
        finally:
            part.is_over = True
            acting.cancel()

    def _begin(self, session: Session, channel: Channel, home: int) -> Part:
        core = channel._driver.session
        part = Part(home, core.outgoing.last, core.incoming.handled)
        # One may resume that has begun in the store only, as its first process did not learn that.
        assert channel.resumed or not session.parts, f"{session} begins again as {part}"
        if part.last < session.stored or part.handled < session.handled:
            assert session.is_damaged, f"{session.id} goes on from {part}, not from {session}"
        assert part.last >= session.flushed or session.is_damaged, f"flushed: {session.flushed}"
        session.parts.append(part)
        session.stored, session.handled = part.last, part.handled
        session.flushed = min(session.flushed, part.last)
        return part

    def _give(self, session: Session, part: Part, place: int, client: int, number: int) -> None:
        """Check that messages are given in order, and again only if they may be."""
        what = f"message {number} of client {client}, the {place}. of {session.id}"
        assert not self._store_of(part.home).is_lapsed(), f"{what} was given without a lease"
        part.given += 1
        assert place == part.handled + part.given, f"{what} is the {part.given}. of {part}"
        known = session.given.get(place)
        if known is None:
            handed = self.handed.setdefault(client, set())
            assert number > max(handed, default=0) or session.is_damaged, f"{what} came late"
            before = session.given.get(place - 1)
            assert place == 1 or before == (client, number - 1), f"{what} came after {before}"
            session.given[place] = client, number
            handed.add(number)
        else:
            self.again += 1
            assert known == (client, number), f"{what} was {known} before"
            is_bounded = part.given <= self._unstored or session.is_damaged
            assert is_bounded, f"{what} is given again"

    def _partial(self, session: Session, part: Part, place: int) -> int:
        """Return how many messages the store had for a message when the part began."""
        if place != part.handled + 1:
            return 0
        return sum(not each.is_offered for each in session.sent_for(place))

    async def _send(self, part: Part, channel: Channel, content: list[Any]) -> int:
        number = await channel.send(content)
        self._note(part, channel._driver.session, number, Sent(content, _in_hand(channel)))
        return number

    def _note(self, part: Part, core: ServerSession, number: int, sent: Sent) -> None:
        assert number == core.outgoing.last, f"{sent} is not {core.outgoing.last}"
        part.sent[number] = sent

    # What the world orders

    async def _act(self, session: Session, part: Part, channel: Channel) -> None:
        """Do what the world orders, as another task of an application does."""
        place = len(session.parts)
        for count in range(1, 1_000_000):
            name, times = await part.orders.get()
            with suppress(ChannelClosed):
                for index in range(times):
                    content = [name, place, count, index]
                    if name == "offer":
                        self._offer(part, channel, content)
                    else:
                        number = await self._send(part, channel, content)
                        if name == "flush":
                            await channel.flush()
                            session.flushed = max(session.flushed, number)

    def _offer(self, part: Part, channel: Channel, content: list[Any]) -> None:
        """Send as the hub does for a group, unless there is no room, which would be a reset."""
        driver, payload = channel._driver, json.dumps(content)
        room = driver.session.limits.window_messages - channel.statistics().buffered
        if room > 1 and not driver.window.senders and driver.try_send(payload, len(payload)):
            sent = Sent(content, _in_hand(channel), is_offered=True)
            self._note(part, driver.session, driver.session.outgoing.last, sent)


def _in_hand(channel: Channel) -> int:
    incoming = channel._driver.session.incoming
    return incoming.delivered if incoming.delivered != incoming.handled else 0
