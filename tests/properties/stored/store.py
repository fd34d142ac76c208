"""`StoreModel`: a store that keeps one session, by the rules of `transport.protocol.journal`.

Processes send it commands over connections. A connection that is dropped keeps the commands that
were sent on it: they may arrive at any later time. The store may be slow, forget everything, or be
replaced by another one that has an older copy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from transport.protocol import journal
from transport.protocol.journal import Claim, ClaimRefusal, Image, Refusal, Write

LEASE = 6.0
"""Seconds that a lease lasts, in the store and by the clock of its process."""
GRACE = LEASE + 2.0
"""Seconds after the store was lost or replaced in which nobody claims."""
FOR_EVER = 10**9

Command: TypeAlias = Write | Claim
Answer: TypeAlias = Image | Refusal | ClaimRefusal | None
"""None: in the grace, a claim is not answered yet."""


@dataclass(eq=False)
class StoreConnection:
    """A connection of a process: its commands are executed in order.

    Attributes:
        commands: those that were not executed yet.
        is_dropped: whether nobody reads the answers.
    """

    answer: Callable[[Command, Answer], None]
    commands: deque[Command] = field(default_factory=deque)
    is_dropped: bool = False


class StoreModel:
    """A store.

    Attributes:
        image: what it has of the session.
        run: its run.
        born: the run, and since when the store is what it is; None if it has lost that.
        leases: until when each process has its lease.
        is_paused: whether it executes nothing.
        has_closed, has_ended: whether it ever had that the session is closing, or has ended.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.image: Image | None = None
        self.run = "run-0"
        self.born: tuple[str, float] | None = (self.run, -GRACE)
        self.leases: dict[str, float] = {}
        self.is_paused = False
        self.has_closed = self.has_ended = False
        self._now = now
        self._claims = 0
        self._connections: list[StoreConnection] = []
        self._copies: list[Image | None] = []
        """What it had before each change."""

    def connect(self, answer: Callable[[Command, Answer], None]) -> StoreConnection:
        connection = StoreConnection(answer)
        self._connections.append(connection)
        return connection

    def drop(self, connection: StoreConnection) -> None:
        """Drop a connection; its commands are on their way."""
        connection.is_dropped = True

    @property
    def in_grace(self) -> bool:
        """Whether the store was lost or replaced just now."""
        return self.born is None or self.born[0] != self.run or self._now() < self.born[1] + GRACE

    def is_alive(self, process: str) -> bool:
        """Return whether a process has its lease."""
        return self._now() < self.leases.get(process, 0.0)

    # Commands

    def serve(self) -> None:
        """Execute what was sent on the connections that stand."""
        for connection in self._connections:
            while connection.commands and not connection.is_dropped and not self.is_paused:
                self._execute(connection)

    def serve_one(self, pick: int) -> None:
        """Execute the first command of any connection."""
        waiting = [connection for connection in self._connections if connection.commands]
        if waiting and not self.is_paused:
            self._execute(waiting[pick % len(waiting)])

    def serve_late(self, pick: int) -> None:
        """Execute the first command of a connection that was dropped."""
        waiting = [one for one in self._connections if one.commands and one.is_dropped]
        if waiting and not self.is_paused:
            self._execute(waiting[pick % len(waiting)])

    def _execute(self, connection: StoreConnection) -> None:
        command = connection.commands.popleft()
        now = int(self._now() * 1000)
        answer: Answer
        if isinstance(command, Write):
            answer = journal.apply(self.image, command, now)
        elif self.in_grace:
            answer = None
        else:
            self._claims += 1
            answer = journal.claim(self.image, Claim(
                home=command.home, fence=command.fence, by=command.by, run=self.run, ttl=FOR_EVER,
                epoch=journal.epoch_of(self.run, str(self._claims)),
            ), now)  # fmt: skip
        if isinstance(answer, Image) and answer is not self.image:
            self._copies.append(self.image)
            self.image = answer
            self.has_closed = self.has_closed or bool(answer.closing or answer.tombstone)
            self.has_ended = self.has_ended or bool(answer.tombstone)
        if not connection.is_dropped:
            connection.answer(command, answer)

    # Faults

    def forget(self) -> None:
        """Lose everything."""
        self._copies.append(self.image)
        self.image = self.born = None
        self.leases.clear()

    def go_back(self, changes: int) -> None:
        """Be replaced by another store, which lacks some of the last changes."""
        copies = [*self._copies, self.image]
        self.image = copies[max(0, len(copies) - 1 - changes)]
        self.run = f"run-{int(self.run[4:]) + 1}"
        self.leases.clear()
        for connection in self._connections:
            connection.commands.clear()
