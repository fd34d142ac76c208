"""`Page`: the client of the model, its connections, and what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transport.errors import Fate
from transport.limits import Limits
from transport.protocol.client.events import (
    Closed,
    ConnectionLost,
    Event,
    FrameReceived,
    LinkDropped,
    Messages,
    Settled,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import EncodedFrame, TransportKind
from transport.protocol.server.attachments import Attachment
from transport.protocol.states import AttachState

if TYPE_CHECKING:
    from tests.properties.stored.process import Process

CLIENT = "client-0123456789"
OPENING = 4.0
"""Seconds after which the page gives up a connection that does not open."""


@dataclass(eq=False)
class Connection:
    """A WebSocket between the page and a process.

    Attributes:
        process: the one that has it.
        since: when it was opened.
        up, down: the frames that are on their way.
        is_cut: whether the page's end is gone.
        has_ended: whether the server's end is gone.
    """

    link: Link
    process: Process
    since: float
    up: deque[EncodedFrame] = field(default_factory=deque)
    down: deque[EncodedFrame] = field(default_factory=deque)
    attachment: Attachment | None = None
    is_cut: bool = False
    has_ended: bool = False


def replies_to(number: int) -> int:
    """Return how many replies the handler sends to a message."""
    return (2, 0, 1, 3)[number % 4]


class Page:
    """A page with one channel, which comes back whenever its connection is lost.

    Attributes:
        connections: those that it has.
        sent: how many messages it has sent.
        handled, not_handled: those that it was told as such.
        entries: how many entries of the topic it has received.
        messages: those that it has received, of which each has the next number.
        reset: the reset of its session, if there was one.
        closed: how its channel ended, if it has.
    """

    def __init__(self, limits: Limits, is_finished: Callable[[int], bool]) -> None:
        self.core = ClientSession(CLIENT, Terms.of(limits))
        self.connections: list[Connection] = []
        self.sent = 0
        self.handled: set[int] = set()
        self.not_handled: set[int] = set()
        self.entries = 0
        self.messages: list[Any] = []
        self.reset: WasReset | None = None
        self.closed: Closed | None = None
        self.replied = (0, 0)
        """The last message to which it has received a reply, and the number of that."""
        self._is_finished = is_finished
        self._attaches = 0

    @property
    def is_over(self) -> bool:
        return self.reset is not None or self.closed is not None

    def say(self) -> None:
        """Send a message."""
        if self.core.ending is None and self.reset is None:
            self.sent += 1
            assert self.core.send(encode_message(self.sent, self.core.terms)) == self.sent

    def attach(self, process: Process, now: float) -> None:
        """Open a connection to a process."""
        self._attaches += 1
        link = self.core.attach(TransportKind.WEBSOCKET, f"nonce-{self._attaches:020}")
        self.connections.append(Connection(link, process, now))

    def cut(self, connection: Connection, *, reason: str, now: float) -> None:
        """Lose a connection; the process may not notice."""
        if connection in self.connections:
            connection.is_cut = True
            self.connections.remove(connection)
            self._handle(self.core.handle_input(connection.link, ConnectionLost(reason), now))

    def turn(self, now: float) -> None:
        """Take what has arrived, and write what is due."""
        for connection in list(self.connections):
            while connection.down and connection in self.connections:
                frame = FrameReceived(connection.down.popleft())
                self._handle(self.core.handle_input(connection.link, frame, now))
            if connection.has_ended and connection in self.connections:
                self.cut(connection, reason="ended", now=now)
            if now >= connection.since + OPENING and connection.link.state is AttachState.OPENING:
                self.cut(connection, reason="silent", now=now)
        self._handle(self.core.tick(now))
        for connection in list(self.connections):
            for output in self.core.transmit(connection.link, now):
                connection.up.extend(output.frames)

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Messages():
                    for message in event.messages:
                        self._take(message)
                case Settled():
                    self._learn(event)
                case WasReset():
                    assert self.reset is None
                    self.reset = event
                    for settled in event.sends:
                        self._learn(settled)
                case Closed():
                    self.closed = event
                    for settled in event.sends:
                        self._learn(settled)
                    for connection in self.connections:
                        connection.is_cut = True
                    self.connections.clear()
                case LinkDropped():
                    for connection in list(self.connections):
                        if connection.link is event.link:
                            connection.is_cut = True
                            self.connections.remove(connection)
                case _:
                    pass

    def _take(self, message: Any) -> None:
        """Check that replies and entries come once, in order."""
        if self.reset is not None:
            return
        self.messages.append(message)
        match message:
            case ["reply", number, count, _]:
                before, replied = self.replied
                if count == 1:
                    left = range(before + 1, number)
                    assert number > before, f"{message} came after a reply to {before}"
                    assert replied == (replies_to(before) if before else 0), f"before {message}"
                    assert not any(map(replies_to, left)), f"{message} came after {self.replied}"
                else:
                    assert (number, count) == (before, replied + 1), f"{message} after {before}"
                self.replied = number, count
            case ["entry", entry, _]:
                assert entry == self.entries + 1, f"entry {entry} came after {self.entries}"
                self.entries = entry
            case _:
                raise AssertionError(message)

    def _learn(self, settled: Settled) -> None:
        for number in range(settled.first, settled.last + 1):
            match settled.fate:
                case Fate.HANDLED:
                    assert self._is_finished(number), f"{number} is told as handled"
                    self.handled.add(number)
                case Fate.NOT_HANDLED:
                    self.not_handled.add(number)
                case _:
                    assert self.is_over, f"{number} is told as {settled.fate}"
