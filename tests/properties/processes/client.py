"""`ModelClient`: the client of a world of processes; checks what its session says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from transport import codes
from transport.errors import Fate
from transport.protocol.client.events import Attached, Closed, Event, Messages, Settled, WasReset
from transport.protocol.frames import ResetReason, TransportKind
from transport.testing.page_driver import PageDriver

if TYPE_CHECKING:
    from tests.properties.processes.world import World


class ModelClient(PageDriver):
    """A page of the model. Each of its requests reaches a random process.

    Args:
        world: it belongs to.
        index: names it, and its user.
        transport: of its first connection.

    Attributes:
        session: the id of its session.
        sent: how many messages it has sent.
        is_settled: those whose fate it knows, of which `not_handled` are to be sent again.
        taken: by session, the publications and deliveries that it has received.
    """

    def __init__(self, world: World, index: int, transport: TransportKind) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await world.serve(scope, receive, send)

        super().__init__(app, "", transport, f"user {index}", None)
        self.index = index
        self.sent = 0
        self.session = ""
        self.is_settled: set[int] = set()
        self.not_handled: set[int] = set()
        self.taken: dict[str, set[int]] = {}
        self._replies: dict[str, int] = {}
        self._last: dict[tuple[str, str, int], int] = {}
        self._world = world

    @property
    def last(self) -> int:
        """The number of the last message of its session."""
        return self._session.incoming.received

    def say(self, replies: int, delay: int) -> None:
        """Send a message, to which the handler sends replies; its work takes milliseconds."""
        if self.closed is None:
            self.sent += 1
            assert self.send([self.index, self.sent, replies, delay]) == self.sent

    # What its session says

    def _on_event(self, event: Event) -> None:
        with self._world.noting_failures():
            self._check(event)
        super()._on_event(event)

    def _check(self, event: Event) -> None:
        match event:
            case Attached():
                self.session = event.id
            case Messages():
                for message in event.messages:
                    self._take(message)
            case Settled():
                self._learn_fate(event)
            case WasReset():
                self._world.check_reset(self, event)
                for settled in event.sends:
                    self._learn_fate(settled, event.reason)
            case Closed():
                self._world.check_closed(self, event)
                for settled in event.sends:
                    self._learn_fate(settled, codes.UNAUTHORIZED)
            case _:
                pass

    def _take(self, message: Any) -> None:
        match message:
            case [session, number]:
                assert session == self.session, f"{message} came in {self.session}"
                expected = self._replies.get(session, 0) + 1
                assert number == expected, f"message {number} of {session} is not {expected}"
                self._replies[session] = number
            case ["to", number, 0]:
                delivery = self._world.journal.deliveries[number]
                assert delivery.session == self.session, f"{message} came in {self.session}"
                assert delivery.answer is not False, f"{message} was told as not sent"
                self._take_once(-number)
            case _:
                topic, process, number = message
                # All publications of a process for a topic come in the order of their sending.
                key = self.session, topic, process
                assert number > self._last.get(key, 0), f"{message} came after {self._last[key]}"
                self._last[key] = number
                self._take_once(number)

    def _take_once(self, number: int) -> None:
        taken = self.taken.setdefault(self.session, set())
        assert number not in taken, f"client {self.index} has received {number} twice"
        taken.add(number)

    def _learn_fate(self, settled: Settled, end: object = None) -> None:
        journal = self._world.journal
        for number in range(settled.first, settled.last + 1):
            assert number not in self.is_settled, f"message {number} was settled twice"
            self.is_settled.add(number)
            what = f"message {number} of client {self.index} is told as {settled.fate} at {end}"
            is_handed = number in journal.handed.get(self.index, ())
            match settled.fate:
                case Fate.HANDLED:
                    assert (self.index, number) in journal.finished, what
                case Fate.NOT_HANDLED:
                    assert not is_handed, what
                    self.not_handled.add(number)
                case _:
                    assert end is not None, what
                    assert end is ResetReason.RESTARTED or is_handed, what
