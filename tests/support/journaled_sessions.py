"""Sessions and processes that use a `JournaledStore`, for tests of stores.

A `JournaledSession` sends texts, and keeps the rule of a home: what the store has is what it has
sent, once, in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from transport.protocol.journal import (
    Change,
    End,
    Heal,
    Image,
    Refusal,
    Release,
    Step,
    Touch,
    Write,
)
from transport.stores.journaled import Failed, JournaledStore, Made, Outcome

DEADLINE = 30.0
"""Seconds for anything that a test waits for."""


class JournaledSession:
    """A session of a process, as its home has it. Implements `Source`.

    Attributes:
        id: its public id.
        image: as it is in memory.
        stored: the last message that the store has.
        outcomes: what the store has said of each write.
        is_lost: whether another process has it, or it has ended.
    """

    def __init__(self, store: JournaledStore, session_id: str, image: Image) -> None:
        self.id = session_id
        self.image = image
        self.stored = image.last
        self.outcomes: list[Outcome] = []
        self.is_lost = False
        self._store = store
        self._sent = image.last
        self._version = image.version
        self._touches = False
        self._heals = False
        self._last_change: Change | None = None
        self._is_writing = False
        self._changed = asyncio.Event()

    def send(self, *texts: str) -> None:
        """Send messages."""
        self.image = replace(
            self.image,
            last=self.image.last + len(texts),
            payloads=(*self.image.payloads, *texts),
        )
        self._store.wrote(self)

    def touch(self) -> None:
        """Prove that this process has the session."""
        self._touches = True
        self._store.wrote(self)

    def end(self, change: End | Release) -> None:
        """Write the last change."""
        self._last_change = change
        self._store.wrote(self)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is true, which an outcome makes so."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_stored(self) -> None:
        """Wait until the store has everything."""
        await self.until(lambda: self.stored == self.image.last and not self._has_more)

    @property
    def _has_more(self) -> bool:
        return self._touches or self._heals or self._is_writing

    # `Source`

    def next_write(self) -> Write | None:
        change = self._next_change()
        if change is None:
            return None
        self._version += 1
        self._is_writing = True
        if isinstance(change, Heal):
            change = replace(change, image=replace(change.image, version=self._version))
        return Write(self._store.name, self.image.fence, self._version, change)

    def _next_change(self) -> Change | None:
        if self.is_lost:
            return None
        if self._heals:
            self._heals = self._touches = False
            self._sent = self.image.last
            return Heal(replace(self.image, run=self._store.run), idle=0)
        if self.image.last > self._sent or self._touches:
            new = self.image.payloads[self._sent - self.image.acked :]
            step = Step(
                first=self._sent + 1,
                payloads=new,
                handled=self.image.handled,
                acked=self.image.acked,
                confirmed=self.image.confirmed,
                holder=self.image.holder,
                touch=Touch(0, self._store.run) if self._touches else None,
            )
            self._sent, self._touches = self.image.last, False
            return step
        change, self._last_change = self._last_change, None
        return change

    def written(self, write: Write, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._is_writing = False
        match outcome:
            case None:
                change = write.change
                if isinstance(change, Step):
                    self.stored = max(self.stored, change.first + len(change.payloads) - 1)
                elif isinstance(change, Heal):
                    self.stored = change.image.last
                else:
                    self.is_lost = True
            case Refusal.GONE | Refusal.BEHIND:
                self._heals = True
            case Refusal.FENCED | Refusal.ENDED | Failed():
                self.is_lost = True
        if self.image.last > self._sent or self._has_more or self._last_change:
            self._store.wrote(self)
        self._changed.set()


class JournaledProcess:
    """A process that has a store. Implements `Owner`.

    Attributes:
        store: its store.
        told: what the store has told it, in order.
        sessions: of which it is the home.
    """

    def __init__(self, store: JournaledStore) -> None:
        self.store = store
        self.told: list[str] = []
        self.sessions: list[JournaledSession] = []
        self._changed = asyncio.Event()

    async def open(self, session_id: str) -> JournaledSession:
        """Open a new session."""
        answer = await self.store.open(f"opening of {session_id}", session_id, self.new_image())
        assert isinstance(answer, Made)
        return self.hold(session_id, answer.image)

    def hold(self, session_id: str, image: Image) -> JournaledSession:
        """Become the home of a session that was opened or claimed."""
        session = JournaledSession(self.store, session_id, image)
        self.sessions.append(session)
        return session

    def new_image(self) -> Image:
        """Return that of a session that this process opens."""
        return Image(
            home=self.store.name,
            subject="ada",
            token=b"\x00\xfftoken",
            hub="chat",
            born=0,
            seen=0,
            run="",
            epoch="",
            holder="client",
        )

    async def until_told(self, what: str, count: int = 1) -> None:
        """Wait until the store has told something so often."""
        async with asyncio.timeout(DEADLINE):
            while self.told.count(what) < count:
                self._changed.clear()
                await self._changed.wait()

    def _note(self, what: str) -> None:
        self.told.append(what)
        self._changed.set()

    # `Owner`

    def lapsed(self) -> None:
        self._note("lapsed")

    def renewed(self) -> None:
        self._note("renewed")

    def lost(self) -> None:
        self._note("lost")
        for session in self.sessions:
            session.touch()

    def unreachable(self) -> None:
        self._note("unreachable")

    def reachable(self) -> None:
        self._note("reachable")
